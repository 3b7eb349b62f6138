"""The rows of `bench/faults`: what breaks, when, and what a user then reads."""

from __future__ import annotations

from faults import Row

P = "/opt/colab-ready"
E = "/etc/colab-ready"
UNIT = "/etc/systemd/system/colab-ready.service"
RUN = "./colab-ready"
RESTART = "colab-runtime restart"

ROWS = [
    # --- what verify sees
    Row("unit file deleted", f"rm {UNIT}", r"NOT READY"),
    Row("unit file changed", f"sed -i s/^ExecStart=.*/ExecStart=/bin/true/ {UNIT}", r"NOT READY"),
    Row("unit not enabled", "systemctl disable colab-ready.service", r"NOT READY"),
    Row("unit masked", f"rm {UNIT}; ln -s /dev/null {UNIT}; systemctl daemon-reload", r"NOT READY"),
    Row("colab-runtime deleted", "rm /usr/local/bin/colab-runtime", r"NOT READY"),
    Row(
        "dist-info of torch deleted",
        f"rm -r {P}/kernels/cpu/lib/python3*/site-packages/torch-*.dist-info",
        r"NOT READY",
    ),
    Row("pyvenv.cfg of the server deleted", f"rm {P}/server/pyvenv.cfg", r"NOT READY"),
    Row("runtime.json is a directory", f"rm {E}/runtime.json; mkdir {E}/runtime.json", r"NOT READY"),
    Row(
        "report.json is a directory",
        "rm /var/lib/colab-ready/report.json; mkdir /var/lib/colab-ready/report.json",
        r"READY",
        0,
    ),
]

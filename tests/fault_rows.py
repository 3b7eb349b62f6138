"""The rows of `bench/faults`: what breaks, when, and what a user then reads.

A row on a converged host takes 20 to 40 s, one on a bare host 60 to 120.
"""

from __future__ import annotations

from typing import Any

from faults import CHECKS, Row

P = "/opt/colab-ready"
E = "/etc/colab-ready"
SITE = "lib/python3*/site-packages"
KERNEL = f"{P}/kernels/cpu"
UNIT = "/etc/systemd/system/colab-ready.service"
RUN = "./colab-ready"
VERIFY = "./colab-ready verify"
RESTART = "colab-runtime restart"
NOT_READY = 2
# Where this computer's wheels lie is not where a stand-in's are.
WITH_INDEX = f"PIP_CONFIG_FILE={CHECKS}/pip.conf"
STANDIN = f"""\
printf '%%s\\n' [global] 'index-url = http://127.0.0.1:3141/simple' 'extra-index-url =' 'find-links =' >{CHECKS}/pip.conf
printf '%%s\\n' 'timeout = 10' 'retries = 1' >>{CHECKS}/pip.conf
rm -rf {P}/server
setsid python3 -I {CHECKS}/standin_index.py %s >/dev/null 2>&1 </dev/null &
sleep 1"""
KILL = f"python3 -I {CHECKS}/kill.py"
END_STANDIN = f"{KILL} first standin_index.py"
KILL_RUN = f"{KILL} run"
INTERRUPT = f"{KILL} interrupt"
FILL = "head -c 20G /dev/zero >%s/full || true"
FULL_TMP = "mount -t tmpfs -o size=64k,mode=1777 none /tmp; head -c 1M /dev/zero >/tmp/full || true"
FULL_LOG = """\
colab-runtime stop
mount -t tmpfs -o size=16k none /var/log/colab-ready
chown colab: /var/log/colab-ready
chmod 0750 /var/log/colab-ready
head -c 1M /dev/zero >/var/log/colab-ready/full || true"""
OFF = "engine: kill NAME"
ON = "engine: start NAME"
CUT = "engine: network disconnect bridge NAME"
PLUG = "engine: network connect bridge NAME"
# After which line of a cold run, and within how many seconds of it.
MOMENTS = {
    "the controller's environment is made": ("preparing the controller environment", 3.0),
    "the host is looked at": ("Read what this host remembers", 1.5),
    "the environments are made": (r"Put the server's configuration", 12.0),
    "the service is put in place": (r"Repair the configuration directories", 2.0),
    "it is proven": (r"Let the runtime start at every boot", 4.0),
}


def lose(path: str) -> str:
    return f"rm -r {path}"


def verify(name: str, fault: str, says: str, status: int = NOT_READY, **more: Any) -> Row:
    return Row(name, fault, says, status, VERIFY, **more)


# --- what verify says of a host on which something is gone or changed, and a run repairs
LATENT = [
    verify("unit file deleted", lose(UNIT), f"next_start: {UNIT} is gone"),
    verify(
        "unit file changed",
        f"sed -i 's,^ExecStart=.*,ExecStart=/bin/true,' {UNIT}",
        "is not what ./colab-ready put there",
    ),
    verify("unit not enabled", "systemctl disable colab-ready.service", "not enabled, so it does not start at boot"),
    verify("unit masked", f"ln -sf /dev/null {UNIT}; systemctl daemon-reload", f"{UNIT} is no plain file"),
    verify("socket unit deleted", lose(UNIT.replace("service", "socket")), "socket is gone"),
    verify("colab-runtime deleted", lose("/usr/local/bin/colab-runtime"), "colab-runtime is gone"),
    verify("colab-runtime not executable", "chmod a-x /usr/local/bin/colab-runtime", "may not be executed"),
    verify(
        "a module of colab-runtime truncated",
        "truncate -s 99 /usr/local/lib/colab-ready/colab_runtime/server.py",
        "server.py is not what",
    ),
    verify("colab-runtime's modules deleted", lose("/usr/local/lib/colab-ready"), "is gone"),
    verify(
        "configuration of the server with a syntax error",
        f"echo '{{,' >{E}/jupyter/jupyter_server_config.json",
        "is no JSON object",
    ),
    verify("dist-info of torch deleted", lose(f"{KERNEL}/{SITE}/torch-*.dist-info"), "torch is missing"),
    verify(
        "dist-info of jupyter_client deleted",
        lose(f"{P}/server/{SITE}/jupyter_client-*.dist-info"),
        "jupyter-client is missing",
    ),
    verify(
        "RECORD of numpy emptied",
        f"truncate -s 0 {KERNEL}/{SITE}/numpy-*.dist-info/RECORD",
        "numpy has no readable RECORD",
    ),
    verify("pyvenv.cfg of the server deleted", lose(f"{P}/server/pyvenv.cfg"), "pyvenv.cfg is missing"),
    verify("pyvenv.cfg of the kernels deleted", lose(f"{KERNEL}/pyvenv.cfg"), "pyvenv.cfg is missing"),
    verify("activate of the server deleted", lose(f"{P}/server/bin/activate"), r"missing \(bin/activate\)"),
    verify(
        "our note in the kernels' environment deleted",
        lose(f"{KERNEL}/colab-ready.json"),
        "colab-ready.json is missing",
    ),
]
# --- the same where the proof itself fails
BROKEN = [
    verify("runtime.json is an empty folder", f"rm {E}/runtime.json; mkdir {E}/runtime.json", "it is a folder"),
    verify(
        "runtime.json is a folder with files",
        f"rm {E}/runtime.json; mkdir {E}/runtime.json; touch {E}/runtime.json/mine",
        r"sudo mv -T \S*runtime.json",
        heal=f"mv -T {E}/runtime.json {E}/runtime.json.old; rm -r {E}/runtime.json.old",
    ),
    verify("report.json is an empty folder", "cd /var/lib/colab-ready; rm report.json; mkdir report.json", "READY", 0),
    verify(
        "report.json is a folder with files",
        "cd /var/lib/colab-ready; rm report.json; mkdir report.json; touch report.json/mine",
        r"sudo mv -T \S*report.json",
        heal="rm -r /var/lib/colab-ready/report.json",
    ),
    verify("runtime.json truncated", f"truncate -s 40 {E}/runtime.json", "runtime.json cannot be read"),
    verify("runtime.json emptied", f"truncate -s 0 {E}/runtime.json", "runtime.json cannot be read"),
    verify("runtime.json removed", f"rm {E}/runtime.json", "this host is not set up"),
    verify("/etc/colab-ready removed", lose(E), "this host is not set up", new_token=True),
    verify("/var/lib/colab-ready removed", lose("/var/lib/colab-ready"), "READY", 0),
    verify(
        "kernelspec deleted",
        lose(f"{P}/share/jupyter/kernels"),
        "description of the kernel|kernel.s description|kernel.json",
    ),
    verify("interpreter of the kernels gone", lose(f"{KERNEL}/bin/python*"), "Python is not there"),
    verify(
        "half of the server's environment deleted",
        f"cd {P}/server; find . -type f -o -type l | awk 'NR % 2' | xargs -d '\\n' rm",
        "is missing|lacks a file",
    ),
    verify(
        "half of the kernels' environment deleted",
        f"cd {KERNEL}; find . -type f -o -type l | awk 'NR % 2' | xargs -d '\\n' rm",
        "is missing|lacks a file|NOT READY",
    ),
    verify(
        "the runtime's user removed", "colab-runtime stop; userdel colab", "there is no user 'colab'", new_token=True
    ),
    verify("token removed", lose(f"{E}/token"), "token's file is not there", new_token=True),
    verify("token emptied", f"truncate -s 0 {E}/token", "empty token", new_token=True),
    verify(
        "token readable by others",
        f"chmod 0644 {E}/token",
        "Other users of this host can read the token",
        new_token=True,
    ),
    verify(
        "token replaced",
        f"printf '%s' 0123456789abcdef0123456789abcdef0123456789abcdef >{E}/token",
        "colab_handshake: ",
        new_token=True,
    ),
    verify("token of another user", f"chown root {E}/token", "cannot read the token"),
    verify(
        "unit masked and the server stopped",
        f"systemctl stop colab-ready; ln -sf /dev/null {UNIT}; systemctl daemon-reload",
        f"{UNIT} is no plain file",
        new_token=True,
    ),
    verify(
        "the server's packages deleted, and it stopped",
        lose(f"{P}/server/{SITE}/jupyter_server") + "; colab-runtime stop",
        "jupyter-server lacks a file",
        new_token=True,
    ),
    verify("the server hangs", "kill -STOP $(systemctl show -p MainPID --value colab-ready)", "colab-runtime restart"),
    verify("the server killed", "kill -9 $(systemctl show -p MainPID --value colab-ready)", "^READY", 0),
    verify(
        "/etc/hosts without localhost",
        # A name service of the network may know the name all the same.
        f"cp /etc/nsswitch.conf {CHECKS}/; echo hosts: files >/etc/nsswitch.conf; printf '127.0.0.2 other\\n' >/etc/hosts",
        "name localhost leads nowhere",
        heal=f"cat {CHECKS}/nsswitch.conf >/etc/nsswitch.conf; printf '127.0.0.1 localhost\\n::1 localhost\\n' >/etc/hosts",
    ),
    verify("hostname changed", "hostname elsewhere", "READY", 0),
    verify("/tmp noexec", "mount -t tmpfs -o noexec,mode=1777 none /tmp", "READY", 0, heal="umount /tmp"),
    verify(
        "/tmp full",
        FULL_TMP,
        "^READY",
        0,
        heal="umount /tmp",
    ),
    verify("IPv6 off", "true", "^READY", 0, options=("--sysctl=net.ipv6.conf.all.disable_ipv6=1",)),
    verify(
        "IPv6 off, no systemd",
        "true",
        "^READY",
        0,
        options=("--sysctl=net.ipv6.conf.all.disable_ipv6=1",),
        init="plain",
    ),
]
# --- what colab-runtime says
COMMAND = [
    Row("unit masked, restart", f"ln -sf /dev/null {UNIT}; systemctl daemon-reload", "masked", 1, RESTART),
    Row(
        "configuration with a syntax error, restart",
        f"echo '{{,' >{E}/jupyter/jupyter_server_config.json",
        "jupyter_server_config.json",
        1,
        RESTART,
    ),
    Row("token emptied, restart", f"truncate -s 0 {E}/token", "token", 78, RESTART, new_token=True),
    Row(
        "the server's packages deleted, restart",
        lose(f"{P}/server/{SITE}/jupyter_server"),
        "jupyter_server",
        1,
        RESTART,
    ),
    Row(
        "the server hangs, start",
        "kill -STOP $(systemctl show -p MainPID --value colab-ready)",
        "",
        0,
        "colab-runtime start",
    ),
    Row("token lost, run", lose(f"{E}/token"), "token is new", 0, RUN, new_token=True),
    Row(
        "token readable by others, run",
        f"chmod 0644 {E}/token",
        "token is new|others could know",
        0,
        RUN,
        new_token=True,
    ),
    Row("the server hangs, run", "kill -STOP $(systemctl show -p MainPID --value colab-ready)", "^READY", 0, RUN),
    Row(
        "port taken by another program, run",
        "colab-runtime stop; setsid python3 -m http.server 8888 --bind 127.0.0.1 >/dev/null 2>&1 </dev/null & sleep 1",
        "8888",
        NOT_READY,
        RUN,
        heal=f"{KILL} first http.server",
        new_token=True,
    ),
]
# --- a run that is interrupted
INTERRUPTED = [
    *(
        Row(f"{name}, while {when}", fault, says, status, RUN, moment=moment, within=within, start="bare")
        for name, fault, says, status in (
            ("Ctrl-C", INTERRUPT, "interrupted", 130),
            ("SIGKILL of the whole run", KILL_RUN, "", 137),
            ("power cut", f"{OFF}\n{ON}", "", 137),
        )
        for when, (moment, within) in MOMENTS.items()
    ),
    Row(
        "SIGKILL of ansible-playbook",
        f"{KILL} first bin/ansible-playbook",
        r"ended by signal 9",
        137,
        RUN,
        moment=r"Look for GPUs",
    ),
    Row(
        "SIGKILL of ansible-playbook, while the environments are made",
        f"{KILL} first bin/ansible-playbook",
        r"ended by signal 9",
        137,
        RUN,
        moment=r"Put the server's configuration",
        start="bare",
    ),
    Row(
        "uv killed",
        f"{KILL} first tools/bin/uv",
        "signal 9|killed",
        NOT_READY,
        RUN,
        moment=r"Put the server's configuration",
        within=4.0,
        start="bare",
    ),
    Row(
        "network cut, while the controller's environment is made",
        CUT,
        "",
        1,
        RUN,
        moment="preparing the controller environment",
        heal=PLUG,
        start="bare",
    ),
    Row("wsl --terminate, then a run", f"{OFF}\n{ON}", "^READY", 0, RUN),
    Row("wsl --terminate, then a run, no systemd", f"{OFF}\n{ON}", "^READY", 0, RUN, init="plain", new_token=True),
    Row(
        "wsl --terminate, then verify, no systemd",
        f"{OFF}\n{ON}",
        "colab-runtime start",
        NOT_READY,
        VERIFY,
        init="plain",
        new_token=True,
    ),
    Row(
        "two runs at once",
        f"cd /root/colab-ready && (setsid {RUN} >/var/tmp/checks/other.log 2>&1 &) ; sleep 1",
        "waiting for it to end",
        0,
        RUN,
    ),
]
# --- what is short
SHORT = [
    Row("index hangs", STANDIN % "hangs", "127.0.0.1:3141", NOT_READY, f"{WITH_INDEX} {RUN}", heal=END_STANDIN),
    Row("index drips", STANDIN % "drips", "127.0.0.1:3141", NOT_READY, f"{WITH_INDEX} {RUN}", heal=END_STANDIN),
    Row("index answers 503", STANDIN % "busy", "503", NOT_READY, f"{WITH_INDEX} {RUN}", heal=END_STANDIN),
    Row(
        "index answers with a login page",
        STANDIN % "login",
        r"asked: http://127\.0\.0\.1:3141.*login page",
        NOT_READY,
        f"{WITH_INDEX} {RUN}",
        heal=END_STANDIN,
    ),
    Row("index refuses", f"{STANDIN % 'hangs'}\n{END_STANDIN}", "127.0.0.1:3141", NOT_READY, f"{WITH_INDEX} {RUN}"),
    Row(
        "apt's lock held",
        "setsid flock /var/lib/dpkg/lock-frontend sleep 45 >/dev/null 2>&1 </dev/null & sleep 1",
        "",
        0,
        RUN,
        start="bare",
        heal="",
    ),
    Row(
        "/opt read-only",
        "mount --bind /opt /opt; mount -o remount,bind,ro /opt; rm -f /etc/colab-ready/token",
        "Read-only|read-only",
        NOT_READY,
        RUN,
        heal="umount /opt",
        new_token=True,
    ),
    Row(
        "/tmp full, run",
        FULL_TMP,
        "^READY",
        0,
        RUN,
        heal="umount /tmp",
    ),
    *(
        Row(
            f"{place} full, while {when}",
            FILL % place,
            f"{place}\\S* is full|the disk is full",
            status,
            RUN,
            moment=MOMENTS[when][0],
            within=min(MOMENTS[when][1], 4.0) if place == "/opt" else 1.0,
            heal=f"rm {place}/full",
            start="bare",
            options=(f"--tmpfs={place}:exec,mode=755,size={size}",),
            lasts={rf"gone: {place}(/|:|$)": "a file system of its own, into which the reader of trees does not look"},
        )
        for place, size, when, status in (
            ("/var/cache", "100m", "the controller's environment is made", 1),
            ("/var/cache", "400m", "the host is looked at", NOT_READY),
            ("/opt", "5g", "the environments are made", NOT_READY),
        )
    ),
    Row("/tmp noexec, run", "mount -t tmpfs -o noexec,mode=1777 none /tmp", "^READY", 0, RUN, heal="umount /tmp"),
    Row(
        "250 MB of memory",
        "engine: update --memory 250m --memory-swap 250m NAME",
        "memory",
        NOT_READY,
        VERIFY,
        heal="engine: update --memory 16g --memory-swap 16g NAME",
    ),
    Row(
        "the disk of the log full, no systemd",
        FULL_LOG,
        "^READY",
        0,
        RUN,
        heal="colab-runtime stop; umount /var/log/colab-ready",
        init="plain",
        options=("--cap-add=SYS_ADMIN", "--security-opt=apparmor=unconfined"),
        new_token=True,
    ),
]

ROWS = [*LATENT, *BROKEN, *COMMAND, *INTERRUPTED, *SHORT]
assert len({row.name for row in ROWS}) == len(ROWS)

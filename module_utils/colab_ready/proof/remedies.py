# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person does about each problem that a proof can find.

Remedy ids are names that documents refer to: they may be added, not changed.
"""

from __future__ import annotations

from typing import Any

from ..backends.directml import faults as directml_faults
from ..backends.rocm import faults as rocm_faults
from ..core.remedy import AGAIN, AGAIN_FIRST, HERE, UNTIL_THEN, Remedy, build_anew, give, pick, rebuild
from . import torch_faults

_RESTORED = "it restores the server's configuration."
_RESTORE = f"{AGAIN_FIRST}: {_RESTORED}"
_STOP_NOW = f"Run sudo colab-runtime stop --force now; then {AGAIN}"
_NEW_TOKEN = (
    f"{AGAIN_FIRST}: it makes a new one with mode 0600; then paste the new address into Colab (./colab-ready url)."
)
_NEW_ADDRESS = "Run colab-runtime restart, then take the new address from ./colab-ready url."
_READ_LOGS = "Read colab-runtime logs for the reason, then colab-runtime restart."

REMEDIES: dict[str, Remedy] = {
    # the child process
    "python_missing": Remedy(
        "The environment's Python is not there.", f"{AGAIN_FIRST}: it builds the environment anew."
    ),
    "python_not_executable": Remedy(
        "The environment's Python may not be executed by the user who needs it.",
        "Look at the owner and the mode of the environment's folders (`namei -l` on its bin/python), or build it anew: "
        f"{rebuild()}.",
    ),
    "python_broken": Remedy(
        "The environment's Python does not get as far as the check itself.",
        f"{rebuild()}.",
    ),
    "no_such_user": Remedy(
        "The user who should run the kernels does not exist.", f"{pick('colab_user=NAME', 'one that exists')}."
    ),
    "not_root": Remedy(
        "Only root can check what another user's kernel would do.",
        "Run ./colab-ready verify, which asks for the rights it needs.",
    ),
    "out_of_memory": Remedy(
        "The process was killed, most likely because memory ran out.",
        "Close other programs, or give WSL more memory ([wsl2] memory= in .wslconfig on Windows, then wsl --shutdown).",
    ),
    "check_hangs": Remedy(
        "The check did not end in time: a driver that hangs, or a host that is very busy.",
        "Try once more when the host is idle; if it hangs at the same step again, run wsl --shutdown on Windows and "
        "start anew.",
    ),
    # tensor_add, and the cell
    "torch_missing": Remedy(
        "PyTorch is not installed in the kernel environment.", f"{AGAIN_FIRST}: it installs what is missing."
    ),
    "torch_broken": Remedy(
        "PyTorch is installed in the kernel environment but cannot be used: files are missing or of another build.",
        build_anew(),
    ),
    "torch_crashes": Remedy(
        "PyTorch's native code ended the process: a broken installation, or a driver fault.",
        f"{rebuild()}; if it stays, report the step and the signal.",
    ),
    "cpu_too_old": Remedy(
        "This processor lacks instructions that this build of PyTorch uses (SIGILL).",
        "Use an older PyTorch (the backend's pin), or a processor with AVX2.",
    ),
    "wrong_device": Remedy(
        "The sum was not computed on the device that was asked for.",
        f"Choose the backend that this host really has: {give('colab_backend=auto')}; or repair its driver.",
    ),
    "wrong_sum": Remedy("The device computes wrong values.", f"Update the driver; {UNTIL_THEN}."),
    # the token
    "token_missing": Remedy("The token's file is not there.", f"{AGAIN_FIRST}: it makes one."),
    "token_unreadable": Remedy(
        "The user who runs the kernels cannot read the token.", f"{AGAIN_FIRST}: it repairs the file's owner and mode."
    ),
    "token_mode": Remedy(
        "Other users of this host can read the token, and whoever has it can run code as its owner.",
        _NEW_TOKEN,
    ),
    "token_owner": Remedy(
        "The token belongs to another user than the one who runs the kernels.",
        f"{AGAIN_FIRST}: it repairs the file's owner.",
    ),
    "token_empty": Remedy("An empty token switches authentication off for every user of this host.", _NEW_TOKEN),
    "token_weak": Remedy("The token is so short that it can be guessed.", _NEW_TOKEN),
    "token_malformed": Remedy(
        "jupyter_server takes the file's text as the token, line ends included, and no request can carry those.",
        _NEW_TOKEN,
    ),
    "token_refused": Remedy(
        "The server does not know this token: it started before the token was changed, or with another one.",
        _NEW_ADDRESS,
    ),
    # the server
    "port_refused": Remedy(
        "Nothing listens on the port: the server is not running.",
        "Run colab-runtime start; if it does not stay up, colab-runtime logs says why.",
    ),
    "no_localhost": Remedy(
        "The name localhost leads nowhere on this computer, and Colab's page connects to it.",
        "Put the line `127.0.0.1 localhost` into /etc/hosts, then run ./colab-ready verify.",
    ),
    "no_http_answer": Remedy(
        "Something listens on the port but does not answer: the server hangs, or another program has the port.",
        f"Look who has it (colab-runtime status, ss -ltnp), then colab-runtime restart; or {give('colab_port=NUMBER')}.",
    ),
    "peer_foreign": Remedy(
        "The port is served by another user than the one who runs the kernels. This check has not sent the token there, but "
        "Colab's page may have.",
        "Look who has the port (sudo colab-runtime status), end that program, then colab-runtime restart and "
        "colab-runtime token --rotate.",
    ),
    "peer_unseen": Remedy(
        "The port is served by nobody of this system: in WSL (networkingMode=mirrored) a Windows program may have it.",
        "Look who has it (netstat -ano in Windows), end that program, then colab-runtime restart; where that shows none, Windows "
        f"has reserved the port (netsh int ip show excludedportrange protocol=tcp): {give('colab_port=NUMBER')}.",
    ),
    "peer_silent": Remedy(
        "What listens on the port does not accept connections: the server hangs.",
        "Run colab-runtime restart; read colab-runtime logs if it stays so.",
    ),
    "peer_unknown": Remedy(
        "This system does not say whose a connection is (/proc/net/tcp), so the token was not sent.",
        "Mount /proc with its net folder, as every Linux has it, and run ./colab-ready verify.",
    ),
    "not_jupyter": Remedy(
        "What answers on the port is not a Jupyter server that this project configured.",
        "Look who has the port (sudo colab-runtime status), end that program, then colab-runtime start; or "
        f"{give('colab_port=NUMBER')} with another one.",
    ),
    "host_refused": Remedy(
        "The server refuses the name localhost: its configuration is another one, or another program has the port.",
        _RESTORE,
    ),
    "allow_origin_wrong": Remedy(
        "The server's allow_origin is not exactly Colab's origin (no slash at the end, lower case), so a browser hides "
        "every answer from the page.",
        _RESTORE,
    ),
    "allow_credentials_missing": Remedy(
        "The server lacks allow_credentials, without which a browser hides every answer to a request that carries "
        "credentials (googlecolab/colabtools#5302).",
        _RESTORE,
    ),
    "preflight_too_narrow": Remedy(
        "The server's preflight does not allow what the page sends.",
        f"Take Access-Control settings out of the server's own configuration (tornado_settings), or {AGAIN}.",
    ),
    "build_info_unreadable": Remedy(
        "The server's errors carry no Access-Control headers, so a browser makes a broken network of the 404 with which it "
        "answers /api/colab/build-info (googlecolab/colabtools#5302).",
        f"{AGAIN_FIRST}: it restores the server's configuration (tornado_settings).",
    ),
    "broken_answer": Remedy(
        "The server's answer was not what Jupyter answers.",
        "Read colab-runtime logs for the error, then colab-runtime restart.",
    ),
    "no_answer": Remedy(
        "The server did not answer in time.", "Run colab-runtime restart; read colab-runtime logs if it stays so."
    ),
    # kernel and cell
    "kernel_not_listed": Remedy(
        "The server does not find the kernel's description (kernel.json).", f"{AGAIN_FIRST}: it writes the kernelspec."
    ),
    "session_refused": Remedy("The server refuses to make a session.", "Read colab-runtime logs for the reason."),
    "kernel_not_started": Remedy(
        "The server could not start the kernel: its program is missing or broken.",
        f"{AGAIN_FIRST}: it repairs the kernel environment; colab-runtime logs has the error.",
    ),
    "session_not_deleted": Remedy(
        "The server did not end the kernel when it was told to.",
        "Run colab-runtime restart --force, which ends every kernel; colab-runtime logs has the reason.",
    ),
    "kernel_socket_refused": Remedy("The kernel was made but its websocket was refused.", _READ_LOGS),
    "kernel_socket_closed": Remedy("The kernel's websocket was closed before the cell had ended.", _READ_LOGS),
    "kernel_silent": Remedy(
        "The kernel was started but never answered: its environment is broken (ipykernel), or the host is very slow.",
        f"colab-runtime logs says how it died; build it anew: {rebuild()}.",
    ),
    "kernel_died": Remedy(
        "The kernel died: its environment is broken (ipykernel), or memory ran out.",
        f"Read colab-runtime logs. Where memory ran out (dmesg), close other programs; otherwise build it anew: {rebuild()}.",
    ),
    "cell_failed": Remedy(
        "A cell of a notebook ended otherwise than it must; the reason above says how.",
        f"Where the reason is a package, {AGAIN}: it repairs the environment. Otherwise a file of your own changes what cells "
        "do: look at ~/.ipython/profile_default/startup, move it away, then ./colab-ready verify.",
    ),
    # /http_over_websocket
    "ws_not_loaded": Remedy(
        "The server runs without the /http_over_websocket extension.",
        f"{AGAIN_FIRST}: it enables the extension and restarts the server; or do without: "
        f"{give('colab_http_over_ws=false')}.",
    ),
    "ws_origin_refused": Remedy(
        "/http_over_websocket refuses Colab's origin: allow_origin is not exactly it.", _RESTORE
    ),
    "ws_outdated": Remedy(
        "The extension speaks an older protocol than Colab asks for.",
        f"{AGAIN_FIRST}: it installs the version it was tested with.",
    ),
    "ws_token_refused": Remedy("Through /http_over_websocket the server does not know this token.", _NEW_ADDRESS),
    "ws_authentication_broken": Remedy(
        "The extension cannot reach its own server: jupyter_http_over_ws 0.0.8 as published breaks on tornado 6.5 and newer.",
        f"{AGAIN_FIRST}: it installs the extension that repairs this.",
    ),
    "ws_closed": Remedy("The server closed the websocket.", _READ_LOGS),
    # doors that should be shut
    "open_no_token": Remedy(
        "The server answers without a token: every user of this host, and with luck a web page, can run code here.",
        f"{_STOP_NOW}.",
    ),
    "open_wrong_token": Remedy("The server accepts any token: authentication is off.", f"{_STOP_NOW}."),
    "open_foreign_origin": Remedy(
        "The server lets pages of other origins in (allow_origin is *, or a pattern that is too wide).",
        f"{_STOP_NOW}: {_RESTORED}",
    ),
    "open_foreign_host": Remedy(
        "The server answers under names that are not local (allow_remote_access, or ip: 0.0.0.0), which lets a page "
        "reach it by DNS rebinding.",
        f"{_STOP_NOW}: {_RESTORED}",
    ),
    "open_ws_off": Remedy(
        "/http_over_websocket answers although it is switched off.",
        f"{AGAIN_FIRST}: it disables the extension and restarts the server.",
    ),
    **directml_faults.REMEDIES,
    **rocm_faults.REMEDIES,
    **torch_faults.REMEDIES,
}
# The same doors, seen through /http_over_websocket.
REMEDIES["open_ws_foreign_origin"] = REMEDIES["open_foreign_origin"]
for _name in ("no_token", "wrong_token", "auth_url"):
    REMEDIES[f"open_ws_{_name}"] = Remedy(
        "/http_over_websocket opens without this server's token: the extension is Google's as published, or another one, "
        "and every user of this host can use it to look for a way in.",
        f"{AGAIN_FIRST}: it installs the extension that asks for the token first, and restarts the server.",
    )


# What to do instead where there is no WSL, and so no Windows beside it.
_NATIVE: dict[str, str] = {
    "out_of_memory": "Close other programs.",
    "check_hangs": "Try once more when the host is idle; if it hangs at the same step again, restart the computer.",
    "adapter_not_seen": (
        f"Look whether the kernel's driver has the card (lspci -k), and {AGAIN}; or name the card that it sees: "
        f"{give('colab_gpu=NAME')}."
    ),
}


def remedies_for(problems: list[str]) -> list[dict[str, str]]:
    """One remedy per problem, in order, none twice."""
    names = (problem if problem in REMEDIES else "broken_answer" for problem in dict.fromkeys(problems))
    return [REMEDIES[name].told(name) for name in names]


def on_this_host(remedies: list[dict[str, str]], device_type: str, wsl: Any) -> list[dict[str, str]]:
    """Without WSL there is no Windows beside it to do anything in; DirectML is nowhere else."""
    if wsl is not False or device_type == "privateuseone":
        return remedies
    return [
        {
            **one,
            "do": _NATIVE.get(one["id"], one["do"].replace(HERE, "")),
            "where": one["where"].replace("windows", "linux"),
        }
        for one in remedies
    ]

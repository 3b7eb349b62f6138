"""The commands of README.md: what each ends with on a fresh host, or why none of our hosts can run it.

tests/molecule/test_launcher_fresh.py runs them in this order, behind README's block of commands;
tests/static/test_documents.py compares the list with README.
"""

from __future__ import annotations

import re
from pathlib import Path

README = Path(__file__).resolve().parents[1] / "README.md"
ADDRESS = "ADDRESS-OF-THIS-REPOSITORY"

# The exit status, and what the output has.
EXECUTED: dict[str, tuple[int, str]] = {
    "./colab-ready --check": (0, r"(?m)^check mode  0 would change"),
    "./colab-ready": (0, r"(?m)^READY  0 changed"),
    "./colab-ready url": (0, r"^http://localhost:8888/\?token="),
    "./colab-ready verify": (0, r"(?m)^READY  "),
    "!hostname": (0, r"fresh-student"),
    "%pip install NAME": (0, r"(?m)^Successfully installed NAME"),
    './colab-ready -e \'{"colab_extra_packages": ["seaborn"]}\'': (0, r"(?m)^READY  "),
    "./colab-ready -e colab_port=9000": (0, r"(?m)^READY  "),
    "./colab-ready settings": (0, r"colab_port +9000 +remembered"),
    "./colab-ready settings --reset colab_port": (0, r"forgotten: colab_port; its default is 8888"),
    "./colab-ready -e colab_backend=directml": (2, r"colab_backend is 'directml', which this host cannot have"),
    "git pull && ./colab-ready": (0, r"(?m)^READY  "),
    "colab-runtime status": (0, r"running: http://localhost:8888/"),
    "colab-runtime start": (0, r"running"),
    "colab-runtime token --rotate": (0, r"The token is new"),
}
# With these the same story ends.
AT_THE_END = {"./colab-ready remove"}
NOT_HERE = {
    "./colab-ready -e wsl_host_keep_running=true": "WSL's own; tests/modules/test_wsl_host.py has the role with a stand-in",
    "wsl --install -d Ubuntu-24.04": "Windows' own; Microsoft's page has it",
    "wsl --update": "Windows' own",
    "wsl --shutdown": "Windows' own",
}
# Words of a sentence about something that does not work, or that stands for many.
MENTIONED = {"sudo", "!apt-get", "ansible-playbook"}


def block() -> list[str]:
    """The lines of README's block of commands."""
    found = re.findall(r"^```sh\n(.*?)^```", README.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    return [line for text in found for line in text.splitlines() if line]


def inline() -> set[str]:
    """What README has between backticks and begins as a command does."""
    text = re.sub(r"^```.*?^```", "", README.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    begins = r"(?:\./colab-ready|colab-runtime|git|wsl|sudo|ansible-playbook|[!%][a-z-]+)(?=[ `-])"
    return set(re.findall(rf"`({begins}[^`]*)`", text))

"""A fault, the command that meets it, and one more run: whether the host is then as if there had been no fault.

`bench/faults` tries every row of `fault_rows.py` so, each on a host of its own; tests/security/test_faults.py tries twelve.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import docker_engine

CHECKS = "/var/tmp/checks"
TREE = f"{CHECKS}/tree.json"
TOKEN = "/etc/colab-ready/token"
RUN_SECONDS = 400
MOMENT_SECONDS = 200
# Somebody else's in /tmp: systemd's, and the folders of an X server that Debian makes at every boot.
LITTER = (
    r"find /tmp /var/cache/colab-ready -mindepth 1 -maxdepth 1 ! -name '.*-unix' ! -name 'systemd-private-*' ! -name 'tree-*' \
    ! -name lock ! -name 'controller*'; ls -d /root/.cache /root/.ansible 2>/dev/null || true"
)
# What a line of the progress is, beside which a message stands.
STEP = re.compile(r"^(ok|changed|running|skipped)\s+[\d.]+ (s|min)\b")


@dataclass(frozen=True)
class Row:
    """`fault` happens before `command`, or when its output has a line like `moment`, and at a moment of
    the seed's `within` seconds; `heal` ends it. `says` is what the
    command's output must have, `status` how it must end, `lasts` what need not be as before, and why."""

    name: str
    fault: str
    says: str
    status: int = 1
    command: str = "./colab-ready verify"
    moment: str = ""
    within: float = 1.0
    heal: str = ""
    start: str = "converged"
    init: str = "systemd"
    options: tuple[str, ...] = ()
    new_token: bool = False
    lasts: dict[str, str] = field(default_factory=dict)
    never_says: str = ""


@dataclass(frozen=True)
class Result:
    """What happened; `wrong` is what is not as the row has it."""

    row: Row
    status: int
    message: str
    again: str
    token: str
    tree: list[str]
    seconds: float
    output: str
    wrong: list[str]
    # Megabytes from the network, until the fault was healed and in the run after it.
    received: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True)
class Host:
    """A container that has the checkout."""

    name: str
    checkout: str = "/root/colab-ready"

    def sh(self, script: str, timeout: float = 120) -> str:
        done = docker_engine.docker("exec", self.name, "bash", "-ec", script, check=False, timeout=timeout)
        if done.returncode:
            raise docker_engine.EngineError(f"`{script}` ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def do(self, script: str) -> None:
        """A line that begins with `engine:` is for the engine, with NAME for the host; the rest is a script there."""
        inside: list[str] = []
        for line in [*script.splitlines(), "engine:"]:
            if not line.strip().startswith("engine:"):
                inside.append(line)
                continue
            if any(one.strip() for one in inside):
                self.sh("\n".join(inside))
            inside = []
            words = [one.replace("NAME", self.name) for one in line.split()[1:]]
            if words:
                docker_engine.docker(*words)
            if words[:1] == ["start"]:
                self.wait_for_boot()

    def wait_for_boot(self) -> None:
        if self.sh("cat /proc/1/comm").strip() == "systemd":
            docker_engine.wait_for_boot(self.name)

    def received(self) -> float:
        """Megabytes that came from the network since the container started."""
        return int(self.sh("cat /sys/class/net/eth0/statistics/rx_bytes 2>/dev/null || echo 0")) / 1e6

    def token(self) -> str:
        return self.sh(f"cat {TOKEN} 2>/dev/null || true")

    def journal(self) -> str:
        """What systemd said of the runtime; nothing on a host without systemd."""
        kept = self.sh("journalctl --unit='colab-ready.*' --lines=60 --no-pager --output=short-precise 2>&1 || true")
        return f"\n--- journal\n{kept}"

    def equip(self) -> None:
        """Put the programs there that rows use."""
        self.sh(f"mkdir -p {CHECKS}")
        for program in ("molecule/file_tree.py", "kill.py", "doubles/standin_index.py"):
            docker_engine.docker("cp", str(Path(__file__).parent / program), f"{self.name}:{CHECKS}/")

    def note_tree(self) -> None:
        """Note the tree as it should be after each row."""
        self.equip()
        self.sh(f"python3 {CHECKS}/file_tree.py write {TREE}")
        # On a host of other tests what those left is no row's.
        self.sh(f"{{ {LITTER}; }} >{TREE}.litter")

    def differences(self) -> list[str]:
        found = self.sh(f"python3 {CHECKS}/file_tree.py compare {TREE} || [ $? = 1 ]").splitlines()
        before = self.sh(f"cat {TREE}.litter").splitlines()
        return found + [f"litter: {line}" for line in self.sh(LITTER).splitlines() if line not in before]


# Of these the content is another one after every run; the day on which an account was made stands in /etc/shadow.
EVERY_RUN = re.compile(
    r"changed: (/etc/machine-id|/etc/shadow|/etc/colab-ready/token|/var/lib/colab-ready/report\.json|/var/log/colab-ready/\S*"
    r"|/home/\w+/\.ipython/\S*|/opt/colab-ready/(cache/locks/\w+|\S*\.pyc|\S*\.dist-info/(RECORD|direct_url\.json|uv_cache\.json)))"
    r": (\S+ \S+) \S+ -> \4 \S+$"
)


def run(host: Host, row: Row, seed: int) -> tuple[int, str]:
    """Do the row's command and its fault; the exit status and everything that was printed."""
    if not row.moment:
        host.do(row.fault)
    command = [
        "docker",
        "exec",
        host.name,
        "timeout",
        str(RUN_SECONDS),
        "bash",
        "-c",
        f"cd {host.checkout} && {row.command}",
    ]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        assert process.stdout is not None
        lines: list[str] = []
        met = threading.Event()

        def read(pipe: Iterator[bytes]) -> None:
            for line in pipe:
                lines.append(line.decode(errors="replace"))
                if row.moment and re.search(row.moment, lines[-1]):
                    met.set()
            met.set()

        reader = threading.Thread(target=read, args=(process.stdout,))
        reader.start()
        if row.moment and met.wait(MOMENT_SECONDS):
            time.sleep(random.Random(f"{seed} {row.name}").uniform(0.1, row.within))
            host.do(row.fault)
        process.wait()
        reader.join()
    return process.returncode, "".join(lines)


def try_row(host: Host, row: Row, seed: int = 1) -> Result:
    """The row on a host that is READY, or bare; the host is READY afterwards where all is well."""
    began = time.monotonic()
    before, already = host.token(), host.received()
    status, output = run(host, row, seed)
    first = host.received() - already
    host.do(row.heal)
    already = host.received()
    again = docker_engine.docker(
        "exec",
        host.name,
        "timeout",
        str(RUN_SECONDS),
        f"{host.checkout}/colab-ready",
        check=False,
        timeout=RUN_SECONDS + 60,
    )
    ready = again.returncode == 0 and re.search(r"^READY\b", again.stdout, re.MULTILINE) is not None
    same = host.token() == before
    tree = [
        line
        for line in host.differences()
        if f" {host.checkout}/" not in line
        and not EVERY_RUN.match(line)
        and not any(re.search(path, line) for path in row.lasts)
    ]
    said = row.says and next(
        (line.strip() for line in reversed(output.splitlines()) if re.search(row.says, line, re.MULTILINE)), ""
    )
    wrong = [
        what
        for is_wrong, what in (
            (status != row.status, f"exit {status}, expected {row.status}"),
            (not re.search(row.says, output, re.MULTILINE), f"nothing like {row.says!r} is said"),
            (bool(row.never_says and re.search(row.never_says, output)), f"it says {row.never_says!r}"),
            (bool(re.search(r"^Traceback|please report", output, re.MULTILINE)), "a traceback"),
            (not ready, f"one more run is not READY: {again.returncode}\n{again.stdout[-2500:]}{again.stderr[-1500:]}"),
            (ready and bool(before) and same == row.new_token, "the token is " + ("the same" if same else "another")),
            (bool(tree), "the tree: " + "; ".join(tree[:12])),
        )
        if is_wrong
    ]
    return Result(
        row,
        status,
        STEP.sub("", said)[:300],
        "READY" if ready else f"exit {again.returncode}",
        "same" if same else "new" if before else "first",
        tree,
        round(time.monotonic() - began, 1),
        output + "\n--- once more\n" + again.stdout + again.stderr + (host.journal() if wrong else ""),
        wrong,
        (first, host.received() - already),
    )


def never(row: Row, why: str) -> Result:
    """A row that could not be tried."""
    return Result(row, -1, "", "", "", [], 0.0, "", [f"it could not be tried: {why}"])


# --- hosts --------------------------------------------------------------------------------------------------------------


def put(name: str) -> None:
    """Put the working tree into a container."""
    import checkout

    docker_engine.docker(
        "exec", "--interactive", name, "sh", "-c", "mkdir /root/colab-ready && tar -x --no-same-owner -C /root/colab-ready",
        stdin=checkout.archive(),
    )  # fmt: skip


def make_image(start: str, init: str, tag: str) -> str:
    """An image to begin rows from: a bare host with the checkout, or one that is READY and has its tree noted."""
    image = f"{tag}:{start}-{init}"
    if docker_engine.docker("image", "inspect", image, check=False).returncode == 0:
        return image
    name = f"{tag}-{start}-{init}"
    try:
        docker_engine.create(name, init, outfitted=True)
        host = Host(name)
        put(name)
        if start == "converged":
            # Twice: what only a second run leaves is no row's doing.
            for _ in range(2):
                host.sh(f"{host.checkout}/colab-ready", timeout=900)
            host.note_tree()
        docker_engine.docker("commit", name, image)
    finally:
        docker_engine.remove(name)
    return image


@contextlib.contextmanager
def fresh(row: Row, tag: str) -> Iterator[Host]:
    """A host of the row's own."""
    host = Host(f"{tag}-row-{os.getpid()}")
    image = make_image(row.start, row.init, tag)
    try:
        docker_engine.create(host.name, row.init, row.options, image=image)
        host.equip()
        if row.start == "converged":
            host.sh(
                "for i in $(seq 60); do colab-runtime start >/dev/null && exit 0; sleep 1; done; colab-runtime start"
            )
        else:  # the tree of a host that never had the fault
            with contextlib.suppress(docker_engine.EngineError):
                copy_tree(make_image("converged", row.init, tag), host)
        yield host
    finally:
        docker_engine.remove(host.name)


def copy_tree(image: str, host: Host) -> None:
    source = f"{host.name}-tree"
    docker_engine.remove(source)
    try:
        docker_engine.docker("create", f"--name={source}", image, "true")
        host.sh(f"mkdir -p {CHECKS}")
        archive = subprocess.run(["docker", "cp", f"{source}:{CHECKS}/.", "-"], capture_output=True, check=True).stdout
        subprocess.run(["docker", "cp", "-", f"{host.name}:{CHECKS}"], input=archive, check=True, capture_output=True)
    finally:
        docker_engine.remove(source)


def named(rows: Sequence[Row], names: Sequence[str]) -> list[Row]:
    known = {row.name: row for row in rows}
    return [known[name] for name in names]

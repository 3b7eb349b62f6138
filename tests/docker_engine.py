#!/usr/bin/env python3
"""A Docker engine, the base image, and the containers that play the fresh host.

Used by the pytest fixture `docker`, and by the molecule scenarios' create.yml and destroy.yml:

    docker_engine.py ensure                          an engine that answers and the base image; prints the image's name
    docker_engine.py create NAME --init systemd      a fresh host (--init plain: no systemd; --outfitted: with apt's packages)
    docker_engine.py remove NAME

What a container gets from this computer, and nothing else: the pip configuration with the folders it names, the
certificates, the proxy (`container_options`). Without them a school's mirror or an offline wheel folder, which pip
finds on this computer, would be unknown inside.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import host_pip

SUITE = "bookworm"
# A bare host has python3, sudo and apt: no python3-venv, no pip, no ca-certificates.
PACKAGES = ("systemd", "systemd-sysv", "dbus", "python3", "sudo")
# What the product would install there with apt, for hosts on which that is not the point.
OUTFIT = ("ca-certificates", "python3-apt", "python3-venv")
IMAGE_REPOSITORY = "colab-ready-base"
# The host's certificates lie beside the place where the package ca-certificates puts its own: that package replaces its
# file by renaming, which a file mounted there would refuse.
TRUST_IN_CONTAINER = "/etc/host-certificates.pem"
HOST_TRUST = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
)
PROXY_VARIABLES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
# systemd 252 boots unprivileged with these, on cgroup v1 and v2 alike. SYS_ADMIN and the open seccomp profile are for
# the sandbox of colab-ready.service: it mounts.
SYSTEMD_OPTIONS = (
    "--cap-add=SYS_ADMIN",
    "--security-opt=seccomp=unconfined",
    "--security-opt=apparmor=unconfined",
    "--cgroupns=host",
    "--volume=/sys/fs/cgroup:/sys/fs/cgroup:rw",
    "--tmpfs=/run",
    "--tmpfs=/run/lock",
    "--env=container=docker",
    "--stop-signal=SIGRTMIN+3",
)
DOCKERFILE = f"""\
FROM debian:{SUITE}-slim
RUN apt-get update \\
 && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends {" ".join(PACKAGES)} \\
 && rm -rf /var/lib/apt/lists/*
"""


class EngineError(RuntimeError):
    """No engine or no image, and what to do about it."""


def state_dir() -> Path:
    """Where logs, the pid and the files that containers mount are kept."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    path = cache / "colab-ready-tests" / "docker"
    path.mkdir(parents=True, exist_ok=True)
    return path


def say(text: str) -> None:
    print(f"docker_engine: {text}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def only_one(name: str) -> Iterator[None]:
    """Let one process at a time start the engine or build the image."""
    with (state_dir() / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


def docker(
    *arguments: str, check: bool = True, timeout: float = 600, stdin: str | bytes | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the docker command."""
    data = stdin.encode() if isinstance(stdin, str) else stdin
    done = subprocess.run(["docker", *arguments], input=data, capture_output=True, timeout=timeout, check=False)
    result = subprocess.CompletedProcess(
        done.args, done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    )
    if check and result.returncode != 0:
        raise EngineError(f"`docker {' '.join(arguments)}` ended with {result.returncode}: {result.stderr.strip()}")
    return result


# --- the engine -----------------------------------------------------------------------------------------------------


def engine_answers() -> bool:
    if not shutil.which("docker"):
        return False
    try:
        return docker("version", "--format", "{{.Server.Version}}", check=False, timeout=20).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def distribution() -> set[str]:
    """The names by which this distribution goes, its relatives included: {"ubuntu", "debian"}."""
    names: set[str] = set()
    with contextlib.suppress(OSError):
        for line in Path("/etc/os-release").read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition("=")
            if key in ("ID", "ID_LIKE"):
                names.update(value.strip().strip('"').split())
    return names


def ensure_engine() -> None:
    """Find an engine that answers, or install and start the distribution's own where that is allowed."""
    if engine_answers():
        return
    trouble = ""
    if shutil.which("docker"):
        said = docker("version", check=False, timeout=20).stderr.strip().splitlines()
        trouble = f" ({said[-1].strip()})" if said else ""
    if os.geteuid() != 0 or not distribution() & {"debian", "ubuntu"} or not shutil.which("apt-get"):
        raise EngineError(
            f"No Docker engine answers{trouble}; the scenarios need one. Expected: an engine that this user may use. "
            "Do: install and start Docker, or run the tests as root on Debian or Ubuntu (they then install and start "
            "the distribution's docker.io), or leave these tests out with `./colab-ready test --no-docker`."
        )
    with only_one("engine"):
        if engine_answers():
            return
        if not shutil.which("dockerd"):
            say("no Docker engine here: installing the distribution's docker.io with apt")
            apt_install("docker.io")
        start_engine()


def apt_install(*packages: str) -> None:
    log = state_dir() / "apt.log"
    with log.open("w", encoding="utf-8") as output:
        for command in (["update"], ["install", "--yes", *packages]):
            done = subprocess.run(
                ["apt-get", "-q", *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
                check=False,
            )
            if done.returncode != 0:
                raise EngineError(
                    f"`apt-get {' '.join(command)}` ended with {done.returncode}. Expected: it installs what the "
                    f"scenarios need. Do: read the end of {log}:\n{tail(log)}"
                )


def tail(log: Path, lines: int = 15) -> str:
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])


def start_engine() -> None:
    if Path("/run/systemd/system").is_dir():
        say("starting docker.service")
        subprocess.run(["systemctl", "start", "docker"], check=False)
        if wait_until(engine_answers, 60):
            return
        raise EngineError(
            "docker.service was started and does not answer. Expected: an engine. Do: read `journalctl -u docker`."
        )
    log = state_dir() / "dockerd.log"
    if not run_daemon(log) and "storage" in log.read_text(encoding="utf-8", errors="replace"):
        say("the engine does not start with its own choice of storage driver: trying vfs (slower, needs more disk)")
        run_daemon(log, "--storage-driver=vfs")
    if engine_answers():
        return
    said = log.read_text(encoding="utf-8", errors="replace")
    hint = ""
    if "iptables" in said:
        hint = (
            " The log speaks of iptables: this kernel may want the older tables "
            "(`update-alternatives --set iptables /usr/sbin/iptables-legacy`)."
        )
    raise EngineError(f"dockerd does not start. Expected: an engine.{hint} Do: read the end of {log}:\n{tail(log)}")


# What dockerd and the containerd that it starts leave behind when they are killed.
PID_FILES = {
    "dockerd": Path("/var/run/docker.pid"),
    "containerd": Path("/var/run/docker/containerd/containerd.pid"),
}


def forget_the_dead(pid_files: dict[str, Path]) -> None:
    """Remove each pid file whose number belongs to another program by now: dockerd would wait for that one in vain."""
    for name, path in pid_files.items():
        with contextlib.suppress(OSError):
            pid = path.read_text(encoding="ascii").strip()
            if not is_running(pid, name):
                path.unlink()


def is_running(pid: str, name: str) -> bool:
    try:
        return Path("/proc", pid, "comm").read_text(encoding="utf-8").strip() == name
    except OSError:
        return False


def run_daemon(log: Path, *options: str) -> bool:
    """Start dockerd in the background, with a log of its own; True once it answers."""
    forget_the_dead(PID_FILES)
    say(f"starting dockerd in the background (log: {log})")
    with log.open("ab") as output:
        daemon = subprocess.Popen(
            ["dockerd", *options],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    (state_dir() / "dockerd.pid").write_text(f"{daemon.pid}\n", encoding="ascii")
    return wait_until(lambda: engine_answers() or daemon.poll() is not None, 60) and engine_answers()


# --- the base image -------------------------------------------------------------------------------------------------


def recipe() -> str:
    return "\n".join([SUITE, *PACKAGES, DOCKERFILE])


def image_name() -> str:
    return f"{IMAGE_REPOSITORY}:{SUITE}-{hashlib.sha256(recipe().encode()).hexdigest()[:12]}"


def image_exists() -> bool:
    return docker("image", "inspect", image_name(), check=False).returncode == 0


def ensure_image() -> str:
    """Build the image of a bare host, once per recipe: from the published Debian image, else from packages."""
    with only_one("image"):
        if image_exists():
            return image_name()
        say("building the base image (a minimal Debian 12 with python3, sudo and systemd)")
        pulled = docker("build", "--quiet", "--tag", image_name(), "-", check=False, timeout=900, stdin=DOCKERFILE)
        if pulled.returncode != 0:
            reason = (pulled.stderr.strip().splitlines() or ["no reason given"])[-1]
            say(f"the published Debian image cannot be had ({reason}): building it from Debian's packages")
            bootstrap_image(reason)
    return image_name()


def bootstrap_image(why: str) -> None:
    if not shutil.which("mmdebstrap"):
        if os.geteuid() != 0 or not distribution() & {"debian", "ubuntu"}:
            raise EngineError(
                f"The base image cannot be built: {why}. Expected: a reachable image registry, or mmdebstrap. "
                "Do: install mmdebstrap and debian-archive-keyring, or run the tests as root on Debian or Ubuntu."
            )
        say("installing mmdebstrap with apt")
        apt_install("mmdebstrap", "debian-archive-keyring")
    archive = state_dir() / "base.tar"
    log = state_dir() / "mmdebstrap.log"
    command = ["mmdebstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", SUITE, str(archive)]
    with log.open("w", encoding="utf-8") as output:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, timeout=900, check=False
        )
    if done.returncode != 0:
        raise EngineError(
            f"The base image cannot be built: {why}, and mmdebstrap ended with {done.returncode}. Expected: Debian's "
            f"packages are reachable. Do: read the end of {log}:\n{tail(log)}"
        )
    docker("import", str(archive), image_name())
    archive.unlink()


# --- containers -----------------------------------------------------------------------------------------------------


def container_options() -> list[str]:
    """What `docker run` needs so that pip and apt inside reach what they reach on this computer."""
    sources = host_pip.sources()
    trust = sources.cert or next((path for path in HOST_TRUST if Path(path).is_file()), "")
    result = [f"--volume={folder}:{folder}:ro" for folder in host_pip.folders(sources)]
    if trust:
        result += [f"--volume={trust}:{TRUST_IN_CONTAINER}:ro"]
    pip_conf = host_pip.pip_conf(sources, TRUST_IN_CONTAINER if trust else "")
    if pip_conf:
        result += [f"--volume={mounted_file('pip.conf', pip_conf)}:/etc/pip.conf:ro"]
    for variable in PROXY_VARIABLES:
        if os.environ.get(variable):
            result += [f"--env={variable}={os.environ[variable]}"]
    proxy = os.environ.get("http_proxy") or os.environ.get("HTTP_PROXY")
    if proxy:
        setting = mounted_file("apt-proxy.conf", f'Acquire::http::Proxy "{proxy}";\n')
        result += [f"--volume={setting}:/etc/apt/apt.conf.d/90proxy:ro"]
    return result


def mounted_file(name: str, text: str) -> Path:
    """A file for containers to mount; named by its content, so that a running container keeps the one it has."""
    path = state_dir() / f"{name}.{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    if not path.exists():
        path.write_text(text, encoding="utf-8")
    return path


def ensure_outfitted_image() -> str:
    """Make the image of a host that has what the product would install with apt, from the bare one."""
    image = f"{image_name()}-{hashlib.sha256(' '.join(OUTFIT).encode()).hexdigest()[:12]}"
    with only_one("outfitted"):
        if docker("image", "inspect", image, check=False).returncode != 0:
            say(f"building the image of a host with {', '.join(OUTFIT)}")
            name = f"colab-ready-outfitting-{os.getpid()}"
            try:
                create(name, "plain")
                install = "apt-get -q update && apt-get -q install --yes --no-install-recommends"
                docker("exec", name, "sh", "-c", f"{install} {' '.join(OUTFIT)} && rm -rf /var/lib/apt/lists/*")
                docker("commit", name, image)
            finally:
                remove(name)
    return image


def create(name: str, init: str, extra: Sequence[str] = (), outfitted: bool = False, image: str = "") -> None:
    """Start a fresh host, or one from an image. With `systemd` it has booted when this returns."""
    remove(name)
    image = image or (ensure_outfitted_image() if outfitted else image_name())
    options = [f"--name={name}", f"--hostname={name}", *container_options(), *extra]
    if init == "systemd":
        docker("run", "--detach", *options, *SYSTEMD_OPTIONS, image, "/lib/systemd/systemd")
        wait_for_boot(name)
    else:
        docker("run", "--detach", "--init", *options, image, "sleep", "infinity")


def wait_for_boot(name: str) -> None:
    said = ""

    def booted() -> bool:
        nonlocal said
        done = docker("exec", name, "systemctl", "is-system-running", check=False)
        said = (done.stdout + done.stderr).strip()
        return done.stdout.strip() in ("running", "degraded")

    if not wait_until(booted, 60):
        logs = docker("logs", name, check=False)
        raise EngineError(f"systemd in {name} does not come up: {said}\n{logs.stdout[-2000:]}{logs.stderr[-2000:]}")


def remove(name: str) -> None:
    docker("rm", "--force", "--volumes", name, check=False)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="The Docker engine, image and containers of the scenarios.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("ensure", help="an engine that answers, and the base image")
    creation = commands.add_parser("create", help="start a fresh host")
    creation.add_argument("name")
    creation.add_argument("--init", choices=("systemd", "plain"), default="systemd")
    creation.add_argument("--outfitted", action="store_true", help="with what the product would install with apt")
    removal = commands.add_parser("remove", help="take a host away")
    removal.add_argument("name")
    wish = parser.parse_args(arguments)
    try:
        if wish.command == "remove":
            if engine_answers():
                remove(wish.name)
            return 0
        ensure_engine()
        image = ensure_image()
        if wish.command == "create":
            create(wish.name, wish.init, outfitted=wish.outfitted)
        else:
            print(image)
    except EngineError as error:
        say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

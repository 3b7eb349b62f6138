#!/usr/bin/env python3
"""Seeded mixes of the ways to make root's commands wait (hangs.py), and what each command did with them.

    PYTHONPATH=tests python3 tests/security/mixes.py [--mixes 50] [--seed 1] [--remove-every 5] [--kind plain] [--each]

A fresh host is converged first (COLAB_READY_TEST_SECURITY=PREFIX keeps it). Every mix plants one to four at once, runs every
command, and takes all back. Prints one line for each mix and each fault; exit status 1 where there was a fault.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import sys
from collections.abc import Sequence

import docker_engine
from security import hosts
from security.hangs import Hang, possible
from security.hosts import SecurityHost, Seen

COMMANDS = ("status", "url", "token", "stop --force")
MOST = 4


def draw(host: SecurityHost, seed: int) -> list[Hang]:
    """The mix of this number: no two in one place."""
    chance = random.Random(seed)
    pool = possible(host)
    chance.shuffle(pool)
    mix: list[Hang] = []
    for hang in pool[: chance.randint(1, MOST)]:
        if hang.place not in [one.place for one in mix]:
            mix.append(hang)
    return mix


def faults(name: str, seen: Seen) -> list[str]:
    found = [f"{name}: {fault}" for fault in seen.faults()]
    if "colab-ready" in name and seen.silence > hosts.SILENCE_SECONDS:
        found.append(f"{name}: silent for {seen.silence} s")
    return [f"{fault}\n{seen}" for fault in found]


def try_mix(
    host: SecurityHost, mix: Sequence[Hang], remove: bool = False, commands: Sequence[str] = COMMANDS
) -> list[str]:
    """What went wrong with this mix. The last of the commands comes after `./colab-ready` and `verify`."""
    found: list[str] = []
    of_the_port = any(hang.place == "port" for hang in mix)
    if of_the_port:
        host.must(hosts.RUNTIME, "stop", "--force")
    with contextlib.ExitStack() as planted:
        # Last is who stops the others of his uid, and so an attack that is yet to come.
        for hang in sorted(mix, key=lambda one: one.place == "port"):
            planted.enter_context(hang.planted(host))
        for command in commands[:-1]:
            found += faults(f"colab-runtime {command}", host.runtime(*command.split()))
        found += faults("./colab-ready", host.colab_ready())
        found += faults("./colab-ready verify", host.colab_ready("verify"))
        found += faults(f"colab-runtime {commands[-1]}", host.runtime(*commands[-1].split()))
        if remove:
            found += faults("./colab-ready remove", host.colab_ready("remove"))
    if of_the_port and not remove:
        host.run("timeout", "60", hosts.RUNTIME, "start")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--mixes", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--remove-every", type=int, default=5)
    parser.add_argument("--each", action="store_true", help="one at a time instead of mixes")
    parser.add_argument("--kind", choices=("root", "student", "plain"), default="plain")
    wish = parser.parse_args(arguments)
    docker_engine.ensure_engine()
    docker_engine.ensure_image()
    wrong = 0
    with hosts.converged(wish.kind) as host:
        mixes = [draw(host, wish.seed * 1000 + number) for number in range(wish.mixes)]
        if wish.each:
            mixes = [[hang] for hang in possible(host)]
        for number, mix in enumerate(mixes, 1):
            found = try_mix(host, mix, remove=number % wish.remove_every == 0)
            found += [f"afterwards {fault}" for fault in faults("./colab-ready", host.colab_ready(seconds=300))]
            wrong += bool(found)
            print(f"{number}: {'; '.join(hang.name for hang in mix)}: {'FAULT' if found else 'ok'}", flush=True)
            for fault in found:
                print("    " + fault.replace("\n", "\n    "), flush=True)
    print(f"{wrong} of {len(mixes)} mixes with faults")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

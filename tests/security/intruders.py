"""What runs on a host with a user's rights."""

from __future__ import annotations

from security.hosts import SecurityHost

# Zombies have ended; a container without an init keeps them.
OF_A_UID = """
import glob, sys
for path in glob.glob("/proc/[0-9]*/status"):
    try:
        facts = dict(line.split(":", 1) for line in open(path) if ":" in line)
        line = open(path.replace("status", "cmdline")).read().replace("\\0", " ")
    except OSError:
        continue
    if sys.argv[1] in facts["Uid"].split() and "Z" not in facts["State"]:
        print(path, facts["State"].strip(), line)
"""


def of_uid(host: SecurityHost, uid: str) -> list[str]:
    """Each living process that has this user's rights, with its command line."""
    return host.must("python3", "-c", OF_A_UID, uid).splitlines()

"""The ports of the runtime's user, which everybody on this computer can reach, but for that of the server.

kernel_ports.py USER PORT
"""

from __future__ import annotations

import pwd
import socket
import sys
from pathlib import Path

uid, server = pwd.getpwnam(sys.argv[1]).pw_uid, int(sys.argv[2])
rows = [row.split() for table in ("tcp", "tcp6") for row in Path(f"/proc/net/{table}").read_text().splitlines()[1:]]
listening = {int(row[1].rpartition(":")[2], 16): int(row[7]) for row in rows if row[3] == "0A"}
assert listening.get(server) in (0, uid), "the search does not even find the server"  # 0: systemd holds it
ports = {port for port, owner in listening.items() if owner == uid}
for port in sorted(ports - {server}):
    with socket.create_connection(("127.0.0.1", port), timeout=10):
        print(port)

"""Finding 19: a kernel had a port on which everybody filled its memory and the server's log."""

from __future__ import annotations

from security.hosts import SERVER, SecurityHost

# As the runtime's user: a kernel of the server's, a cell of which has run and has forked a process that prints.
OWNER = """
import json, queue, sys, time, urllib.request
from jupyter_client import BlockingKernelClient

def ask(path, method):
    token = open("/etc/colab-ready/token").read()
    request = urllib.request.Request("http://localhost:8888" + path, b"{}", {"Authorization": "token " + token}, method=method)
    return urllib.request.urlopen(request, timeout=30).read()

if sys.argv[1:]:
    ask("/api/kernels/" + sys.argv[1], "DELETE")
    sys.exit()
kernel = json.loads(ask("/api/kernels", "POST"))["id"]
client = BlockingKernelClient(connection_file=f"/run/colab-ready/jupyter/kernel-{kernel}.json")
client.load_connection_file()
client.start_channels()
client.wait_for_ready(timeout=60)
heard = []
cell = "import os, time\\nif os.fork() == 0: print('from a forked process', flush=True); os._exit(0)\\nos.wait()"
client.execute_interactive(cell, timeout=60, output_hook=lambda message: heard.append(message["content"].get("text")))
end = time.monotonic() + 30
while "from a forked process" not in "".join(text or "" for text in heard) and time.monotonic() < end:
    try:
        heard.append(client.get_iopub_msg(timeout=1)["content"].get("text"))
    except queue.Empty:
        pass
assert "from a forked process" in "".join(text or "" for text in heard), heard
print(kernel)
"""


def test_a_kernel_has_no_port(root_host: SecurityHost) -> None:
    host = root_host
    owner = (f"{SERVER}/bin/python", "-I", "-c", OWNER)
    kernel = host.must(*owner, user=host.user).strip()
    try:
        assert host.attack("kernel_ports.py", host.user, "8888", user="bob") == ""
    finally:
        host.must(*owner, kernel, user=host.user)

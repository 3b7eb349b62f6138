# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start ipykernel as `python -m ipykernel_launcher` does, but without a TCP port: loopback belongs to all users of the machine.

The server gives a kernel sockets in a folder of the user's. What is left are two ports of ipykernel's own: one for the output of
processes that a cell forks, which takes from everybody what they send, into memory; and the debugger's, which is off for that.
Run by the Python of a kernel environment, which need not know the rest of this project.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
from typing import Any

import zmq
from ipykernel import debugger, iostream, kernelapp
from IPython.paths import get_ipython_dir
from zmq.eventloop.zmqstream import ZMQStream


class IOPubThread(iostream.IOPubThread):
    """ipykernel's, with the socket for the output of forked processes beside the kernel's others."""

    def _setup_pipe_in(self) -> None:
        others = self.socket.last_endpoint.decode()
        if not others.startswith("ipc://"):
            self._pipe_flag = False  # no folder of the user's is known: their output goes to the server's log
            return
        self._pipe_uuid = os.urandom(16)  # the message that forked processes begin with
        self._pipe_address = f"{others}-forked"
        pipe = self.socket.context.socket(zmq.PULL)
        pipe.linger = 0
        pipe.bind(self._pipe_address)
        atexit.register(self._forget_pipe)
        self._pipe_in = ZMQStream(pipe, self.io_loop)
        self._pipe_in.on_recv(self._handle_pipe_msg)

    def _forget_pipe(self) -> None:
        if self._is_master_process():
            with contextlib.suppress(OSError):
                os.unlink(self._pipe_address.removeprefix("ipc://"))

    def _setup_pipe_out(self) -> tuple[Any, Any]:
        context = zmq.Context()  # a new one: this is the forked process
        pipe = context.socket(zmq.PUSH)
        pipe.linger = 3000
        pipe.connect(self._pipe_address)
        return context, pipe


def close_history() -> None:
    """Let nobody else read the text of all cells, which IPython keeps."""
    folder = get_ipython_dir()
    with contextlib.suppress(OSError):  # a home that cannot be written to has no history
        os.makedirs(folder, mode=0o700, exist_ok=True)
        os.chmod(folder, 0o700)


if __name__ == "__main__":
    # IPython puts the notebook's own folder in the place of this file's.
    sys.path[:] = [path for path in sys.path if path != os.path.dirname(os.path.abspath(__file__))]
    close_history()
    kernelapp.IOPubThread = IOPubThread
    debugger._is_debugpy_available = False
    kernelapp.launch_new_instance()

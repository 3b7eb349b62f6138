"""Somebody on this computer who knows where a kernel listens and talks to it past the server. Run by the tests, on the host.

Reads one JSON object from standard input: the kernel's connection file, with the key that this caller has, or has not.
Sends an execute_request to the shell and the control channel and listens to the output channel, for some seconds. Prints
what answered and what was overheard, as JSON. Needs pyzmq.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import json
import sys
import time
import uuid
from typing import Any

import zmq


def signed(key: bytes, kind: str, content: dict[str, Any]) -> list[bytes]:
    """A message in the wire format of Jupyter's messaging protocol 5.3."""
    now = datetime.datetime.now(datetime.timezone.utc).isoformat()
    header = {"msg_id": uuid.uuid4().hex, "session": "stranger", "username": "stranger", "date": now}
    header |= {"msg_type": kind, "version": "5.3"}
    parts = [json.dumps(part).encode() for part in (header, {}, {}, content)]
    signature = hmac.new(key, digestmod=hashlib.sha256)
    for part in parts:
        signature.update(part)
    return [b"<IDS|MSG>", signature.hexdigest().encode() if key else b"", *parts]


def main() -> None:
    told = json.load(sys.stdin)
    key, end = told["key"].encode(), time.monotonic() + told["seconds"]
    execute = {
        "code": told["code"],
        "silent": False,
        "store_history": False,
        "user_expressions": {},
        "allow_stdin": False,
    }
    context = zmq.Context()
    poller = zmq.Poller()
    names: dict[Any, str] = {}
    for name, kind in (("shell", zmq.DEALER), ("control", zmq.DEALER), ("iopub", zmq.SUB)):
        channel = context.socket(kind)
        channel.linger = 0
        if kind == zmq.SUB:
            channel.subscribe(b"")
        separator = ":" if told["transport"] == "tcp" else "-"
        channel.connect(f"{told['transport']}://{told['ip']}{separator}{told[name + '_port']}")
        poller.register(channel, zmq.POLLIN)
        names[channel] = name
        if kind == zmq.DEALER:
            channel.send_multipart(signed(key, "execute_request", execute), zmq.DONTWAIT)
    heard: dict[str, list[str]] = {"shell": [], "control": [], "iopub": []}
    while (left := end - time.monotonic()) > 0:
        for channel, _ in poller.poll(left * 1000):
            parts = channel.recv_multipart()
            body = parts[parts.index(b"<IDS|MSG>") + 2 :]
            heard[names[channel]].append(f"{json.loads(body[0])['msg_type']}: {body[3].decode(errors='replace')[:200]}")
    print(json.dumps(heard))


if __name__ == "__main__":
    main()

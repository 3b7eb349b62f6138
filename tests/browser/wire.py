"""What really went over the host's loopback to a port: counted from the packets, by the kernel's packet socket.

A server's log is no proof of silence: jupyter_server logs an answered GET only at debug level.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

ETH_P_ALL = 0x0003  # <linux/if_ether.h>
SOL_PACKET = 263  # <linux/socket.h>
PACKET_STATISTICS = 6  # <linux/if_packet.h>
PACKET_OUTGOING = 4  # the loopback shows each packet twice: as sent and as received
SYN, ACK = 0x02, 0x10
BUFFER_BYTES = 4 * 1024 * 1024  # the system gives as much of it as it allows
HEADERS_BYTES = 40 + 60 + 20


@dataclass
class Traffic:
    """Towards the port: connections that were begun, refused ones included, and bytes that were said in them."""

    connections: int = 0
    bytes: int = 0


def tcp_segment(packet: bytes) -> tuple[bytes, int] | None:
    """(TCP header and what follows, as far as it was kept; its true length), or None for other packets."""
    version = packet[0] >> 4 if packet else 0
    if version == 4 and len(packet) >= 20 and packet[9] == socket.IPPROTO_TCP:
        start = (packet[0] & 0x0F) * 4
        return packet[start:], struct.unpack("!H", packet[2:4])[0] - start
    if version == 6 and len(packet) >= 40 and packet[6] == socket.IPPROTO_TCP:
        return packet[40:], struct.unpack("!H", packet[4:6])[0]
    return None


class Wire:
    def __init__(self, tap: socket.socket, port: int) -> None:
        self._tap = tap
        self._port = port
        self._seen = Traffic()

    def traffic(self) -> Traffic:
        """Since the listening started."""
        with contextlib.suppress(BlockingIOError):
            while True:
                packet, (_, _, kind, *_) = self._tap.recvfrom(HEADERS_BYTES)
                if kind != PACKET_OUTGOING:
                    self._count(packet)
        _seen, lost = struct.unpack("II", self._tap.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
        assert not lost, f"{lost} packets were not seen: the count would prove nothing"
        return Traffic(self._seen.connections, self._seen.bytes)

    def _count(self, packet: bytes) -> None:
        tcp, length = tcp_segment(packet) or (b"", 0)
        if len(tcp) < 14 or struct.unpack("!H", tcp[2:4])[0] != self._port:
            return
        self._seen.connections += tcp[13] & (SYN | ACK) == SYN
        self._seen.bytes += length - (tcp[12] >> 4) * 4


@contextlib.contextmanager
def listening(port: int) -> Iterator[Wire]:
    """On the loopback of this thread's network. Needs CAP_NET_RAW."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL)) as tap:
        tap.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        tap.setblocking(False)
        tap.bind(("lo", ETH_P_ALL))
        yield Wire(tap, port)

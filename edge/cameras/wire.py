"""What a reader's process and the agent say to each other, one packet each over a socket pair."""

import json
import socket
import struct
from collections.abc import Mapping
from typing import Any, NamedTuple

__all__ = ["CLOSE", "MAX_PACKET", "Lent", "close_all", "pack_frame", "pack_note", "receive", "unpack"]

CLOSE = b"close"
MAX_PACKET = 64 * 1024
_FRAME = struct.Struct("<cBIq")
_KIND = b"F"
_INT = struct.Struct("@i")
_MAX_DESCRIPTORS = 4


class Lent(NamedTuple):
    """A frame in a slot of the ring: its digest, and when it was taken (monotonic nanoseconds)."""

    slot: int
    digest: int
    taken_ns: int


def pack_frame(frame: Lent) -> bytes:
    """The packet for a frame."""
    return _FRAME.pack(_KIND, *frame)


def pack_note(**note: Any) -> bytes:
    """The packet for anything rarer."""
    return json.dumps(note).encode()


def unpack(packet: bytes) -> Lent | Mapping[str, Any]:
    """What a packet says.

    Raises:
        ValueError: when it is none.
    """
    if packet[:1] == _KIND and len(packet) == _FRAME.size:
        return Lent(*_FRAME.unpack(packet)[1:])
    note = json.loads(packet)
    if not isinstance(note, dict):
        raise ValueError("not an object")  # noqa: TRY004 - a packet is wrong, not a type
    return note


def receive(link: socket.socket, flags: int = 0) -> tuple[bytes, list[int]]:
    """The next packet, with the descriptors that came along; b"" when the other side is gone.

    Raises:
        BlockingIOError: with MSG_DONTWAIT, when there is none.
    """
    room = socket.CMSG_SPACE(_MAX_DESCRIPTORS * _INT.size)
    try:
        # Not socket.recv_fds, which takes flags and then leaves them out.
        packet, extras, _, _ = link.recvmsg(MAX_PACKET, room, flags | socket.MSG_CMSG_CLOEXEC)
    except ConnectionError:
        return b"", []
    descriptors = []
    for level, kind, data in extras:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            descriptors += [number for (number,) in _INT.iter_unpack(data[: len(data) // _INT.size * _INT.size])]
    return packet, descriptors


def close_all(descriptors: list[int]) -> None:
    """Closes descriptors that came along and are not wanted."""
    for descriptor in descriptors:
        socket.close(descriptor)

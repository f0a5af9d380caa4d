"""The event stream's frames, as AWS's clients and nuclei write them: written from the protocol, not with AWS's code.

Twelve bytes of prelude (total length, headers' length, CRC32 of those eight), headers, payload, CRC32 of all before it;
every integer big-endian. A header is its name's length (one byte), the name, a type and a value.
"""

import struct
import zlib
from dataclasses import dataclass, field
from typing import Any

INT32, STRING = 4, 7
APPLICATION, ERROR, PING, PONG, CONNECT, CONNECT_ACK = 0, 1, 2, 3, 4, 5
ACCEPTED, TERMINATE = 1, 2
PRELUDE = 12


class BadFrameError(ValueError):
    """Bytes that are no frame."""


@dataclass(frozen=True)
class Frame:
    type: int = APPLICATION
    stream: int = 0
    flags: int = 0
    headers: dict[str, Any] = field(default_factory=dict)
    payload: bytes = b""

    def encode(self) -> bytes:
        headers = {":message-type": self.type, ":message-flags": self.flags, ":stream-id": self.stream, **self.headers}
        block = b"".join(_header(name, value) for name, value in headers.items())
        prelude = struct.pack(">II", PRELUDE + len(block) + len(self.payload) + 4, len(block))
        prelude += struct.pack(">I", zlib.crc32(prelude))
        frame = prelude + block + self.payload
        return frame + struct.pack(">I", zlib.crc32(frame))


def frame_length(prelude: bytes) -> int:
    """The whole frame's length, from its first twelve bytes."""
    total, headers, crc = struct.unpack(">III", prelude)
    if crc != zlib.crc32(prelude[:8]):
        raise BadFrameError("the prelude's CRC is wrong")
    if total < PRELUDE + headers + 4:
        raise BadFrameError("shorter than its own headers")
    return total


def decode(data: bytes) -> Frame:
    """A whole frame."""
    total = frame_length(data[:PRELUDE])
    if len(data) != total or struct.unpack(">I", data[-4:])[0] != zlib.crc32(data[:-4]):
        raise BadFrameError("the length or the CRC is wrong")
    end = PRELUDE + struct.unpack(">I", data[4:8])[0]
    headers: dict[str, Any] = {}
    at = PRELUDE
    while at < end:
        length = data[at]
        name = data[at + 1 : at + 1 + length].decode()
        at += 1 + length
        kind, at = data[at], at + 1
        if kind == INT32:
            headers[name] = struct.unpack(">i", data[at : at + 4])[0]
            at += 4
        elif kind == STRING:
            length = struct.unpack(">H", data[at : at + 2])[0]
            headers[name] = data[at + 2 : at + 2 + length].decode()
            at += 2 + length
        else:
            raise BadFrameError(f"header {name!r} is of type {kind}, which no client sends here")
    own = (headers.pop(":message-type"), headers.pop(":stream-id"), headers.pop(":message-flags", 0))
    return Frame(*own, headers, data[end:-4])


def _header(name: str, value: int | str) -> bytes:
    head = bytes([len(name)]) + name.encode()
    if isinstance(value, int):
        return head + bytes([INT32]) + struct.pack(">i", value)
    text = value.encode()
    return head + bytes([STRING]) + struct.pack(">H", len(text)) + text

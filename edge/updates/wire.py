"""What goes between the agent and a model's own process: a JSON header and raw bytes, each with its length before it."""

import json
import socket
import struct
from typing import Any

__all__ = ["receive", "send"]

_LENGTHS = struct.Struct("!II")
_MAX_HEADER = 4 << 20
_MAX_BODY = 1 << 28


def send(sock: socket.socket, header: dict[str, Any], body: bytes | memoryview = b"") -> None:
    """Sends one message; blocks no longer than the socket's timeout.

    Raises:
        OSError: when the other side is gone or does not read.
    """
    text = json.dumps(header, allow_nan=False).encode()
    sock.sendall(_LENGTHS.pack(len(text), len(body)) + text)
    if body:
        sock.sendall(body)


def receive(sock: socket.socket) -> tuple[dict[str, Any], bytes]:
    """The next message.

    Raises:
        EOFError: the other side has ended.
        OSError: nothing came in the socket's timeout.
        ValueError: it makes no sense.
    """
    text_length, body_length = _LENGTHS.unpack(_exactly(sock, _LENGTHS.size))
    if text_length > _MAX_HEADER or body_length > _MAX_BODY:
        raise ValueError("a message longer than any can be")
    header = json.loads(_exactly(sock, text_length))
    if not isinstance(header, dict):
        raise ValueError("a header that is no object")  # noqa: TRY004 - it is the value that came
    return header, _exactly(sock, body_length)


def _exactly(sock: socket.socket, count: int) -> bytes:
    got = bytearray()
    while len(got) < count:
        chunk = sock.recv(min(1 << 20, count - len(got)))
        if not chunk:
            raise EOFError
        got += chunk
    return bytes(got)

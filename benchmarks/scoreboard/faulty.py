"""Cameras on a network that fail on demand, for cases 20 and 21: MJPEG over HTTP, and JPEG over RTP inside RTSP's TCP."""

import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import Literal

import cv2
import numpy as np

__all__ = ["FAULTS", "Fault", "HttpCamera", "RtspCamera"]

Fault = Literal["none", "drop", "stall", "freeze", "truncate", "cut-scan"]
FAULTS: tuple[Fault, ...] = ("drop", "stall", "freeze", "truncate", "cut-scan")

_BOUNDARY = b"frame"
_RTP_BYTES = 1400


class _Server:
    """Sends the pictures of `draw(number)` at `fps` to whoever connects; `fault` may be set at any time."""

    def __init__(self, draw: Callable[[int], np.ndarray], *, fps: float = 20.0, port: int = 0) -> None:
        self.fault: Fault = "none"
        self.sent = 0
        self._draw = draw
        self._period_s = 1 / fps
        self._closing = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port: int = self._listener.getsockname()[1]
        self._clients: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._last = b""
        self._accepting = threading.Thread(target=self._accept, name="faulty-camera", daemon=True)
        self._accepting.start()

    def close(self) -> None:
        """Hangs up on everybody."""
        self._closing.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._hang_up()
        for thread in [self._accepting, *self._threads]:
            thread.join(5)

    def set(self, fault: Fault) -> None:
        """Fails that way from now on; `drop` also ends what is connected."""
        self.fault = fault
        if fault == "drop":
            self._hang_up()

    def serve(self, client: socket.socket) -> None:
        """One connection."""
        raise NotImplementedError

    def pictures(self) -> Iterator[bytes]:
        """JPEGs in their time, as the fault has them; ends when it drops."""
        due = time.monotonic()
        while not self._closing.is_set() and self.fault != "drop":
            due += self._period_s
            if self._closing.wait(max(0.0, due - time.monotonic())):
                return
            if self.fault == "stall":
                continue
            if self.fault != "freeze" or not self._last:
                self.sent += 1
                self._last = cv2.imencode(".jpg", self._draw(self.sent))[1].tobytes()
            if self.fault == "truncate":
                yield self._last[: len(self._last) * 2 // 3]
            elif self.fault == "cut-scan":
                yield self._last[: len(self._last) * 2 // 3] + b"\xff\xd9"
            else:
                yield self._last

    def _hang_up(self) -> None:
        for client in list(self._clients):
            try:
                client.shutdown(socket.SHUT_RDWR)
            except OSError:  # noqa: PERF203 - it has gone itself
                continue

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self.fault == "drop":
                client.close()
                continue
            self._clients.append(client)
            thread = threading.Thread(target=self._serve, args=(client,), name="faulty-client", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, client: socket.socket) -> None:
        with client:
            try:
                self.serve(client)
            except OSError:
                pass
            finally:
                self._clients.remove(client)


class HttpCamera(_Server):
    """MJPEG as cheap network cameras send it: multipart/x-mixed-replace."""

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}/camera.mjpg"

    def serve(self, client: socket.socket) -> None:
        """GET, then pictures for ever."""
        while b"\r\n\r\n" not in client.recv(65536):
            pass
        client.sendall(
            b"HTTP/1.1 200 OK\r\nConnection: close\r\n"
            b"Content-Type: multipart/x-mixed-replace; boundary=" + _BOUNDARY + b"\r\n\r\n"
        )
        for jpeg in self.pictures():
            head = b"--%s\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % (_BOUNDARY, len(jpeg))
            client.sendall(head + jpeg + b"\r\n")


class RtspCamera(_Server):
    """RTSP (RFC 2326) with the pictures as RTP/JPEG (RFC 2435) interleaved in the same connection."""

    @property
    def url(self) -> str:
        """Where it is."""
        return f"rtsp://127.0.0.1:{self.port}/camera"

    def serve(self, client: socket.socket) -> None:
        """The five requests, then packets."""
        waiting = b""
        while not self._closing.is_set():
            while b"\r\n\r\n" not in waiting:
                more = client.recv(65536)
                if not more:
                    return
                waiting += more
            request, _, waiting = waiting.partition(b"\r\n\r\n")
            method = request.split(b" ", 1)[0]
            found = re.search(rb"CSeq: *([0-9]+)", request, re.IGNORECASE)
            headers = [b"RTSP/1.0 200 OK", b"CSeq: " + (found[1] if found else b"0")]
            body = b""
            if method == b"OPTIONS":
                headers.append(b"Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN")
            elif method == b"DESCRIBE":
                body = (
                    b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=camera\r\nt=0 0\r\nm=video 0 RTP/AVP 26\r\na=control:v\r\n"
                )
                headers += [b"Content-Type: application/sdp", b"Content-Length: %d" % len(body)]
            elif method == b"SETUP":
                headers += [b"Transport: RTP/AVP/TCP;unicast;interleaved=0-1", b"Session: 1"]
            else:
                headers.append(b"Session: 1")
            client.sendall(b"\r\n".join(headers) + b"\r\n\r\n" + body)
            if method == b"PLAY":
                self._play(client)
                return

    def _play(self, client: socket.socket) -> None:
        number, begun = 0, time.monotonic()
        for jpeg in self.pictures():
            ticks = round((time.monotonic() - begun) * 90_000) & 0xFFFFFFFF
            height, width, tables, scan = _parts(jpeg)
            offset = 0
            while offset < len(scan):
                piece = scan[offset : offset + _RTP_BYTES]
                last = offset + len(piece) >= len(scan)
                # type 1: 4:2:0; Q 255: the tables come along, in the first packet
                head = struct.pack(">B3sBBBB", 0, offset.to_bytes(3, "big"), 1, 255, width // 8, height // 8)
                if offset == 0:
                    head += struct.pack(">BBH", 0, 0, len(tables)) + tables
                rtp = struct.pack(">BBHII", 0x80, 26 | (0x80 if last else 0), number & 0xFFFF, ticks, 1)
                packet = rtp + head + piece
                client.sendall(struct.pack(">cBH", b"$", 0, len(packet)) + packet)
                number += 1
                offset += len(piece)


def _parts(jpeg: bytes) -> tuple[int, int, bytes, bytes]:
    """Height, width, the two quantization tables, and the scan of a baseline JPEG."""
    at, tables, height, width = 2, b"", 0, 0
    while True:
        marker, length = jpeg[at + 1], int.from_bytes(jpeg[at + 2 : at + 4], "big")
        segment = jpeg[at + 4 : at + 2 + length]
        if marker == 0xDB:
            tables += b"".join(segment[i + 1 : i + 65] for i in range(0, len(segment), 65))
        elif marker == 0xC0:
            height, width = int.from_bytes(segment[1:3], "big"), int.from_bytes(segment[3:5], "big")
        at += 2 + length
        if marker == 0xDA:
            return height, width, tables, jpeg[at:].removesuffix(b"\xff\xd9")

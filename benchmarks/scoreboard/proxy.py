"""A TCP proxy that does what networks do: reset, swallow, delay, close one half; and watches MQTT's window meanwhile."""

import contextlib
import selectors
import socket
import struct
import threading
import time
from dataclasses import dataclass, field

__all__ = ["Proxy", "Window"]

_CHUNK = 65536


@dataclass
class Window:
    """Counts QoS 1 messages that are under way on a connection, by reading both directions' packets (MQTT 5, 2.1)."""

    under_way: set[int] = field(default_factory=set)
    most: int = 0
    _buffers: dict[str, bytearray] = field(default_factory=lambda: {"up": bytearray(), "down": bytearray()})

    def feed(self, direction: str, data: bytes) -> None:
        """Takes bytes as they pass."""
        buffer = self._buffers[direction]
        buffer += data
        while (packet := _packet(buffer)) is not None:
            first, body = packet
            if direction == "up" and first >> 4 == 3 and first & 6:
                length = int.from_bytes(body[:2], "big")
                self.under_way.add(int.from_bytes(body[2 + length : 4 + length], "big"))
                self.most = max(self.most, len(self.under_way))
            elif direction == "down" and first >> 4 == 4:
                self.under_way.discard(int.from_bytes(body[:2], "big"))


def _packet(buffer: bytearray) -> tuple[int, bytes] | None:
    length = shift = 0
    for i in range(1, 5):
        if len(buffer) <= i:
            return None
        length |= (buffer[i] & 127) << shift
        shift += 7
        if not buffer[i] & 128:
            break
    end = i + 1 + length
    if len(buffer) < end:
        return None
    packet = buffer[0], bytes(buffer[i + 1 : end])
    del buffer[:end]
    return packet


def _without_publishes(rest: bytearray, data: bytes, *, keep: bool) -> tuple[bytes, list[bytes]]:
    """Takes PUBLISH packets of QoS 1 out of a stream: what is left of it, and their packet identifiers.

    `rest` is the beginning of a packet whose end is still to come; with `keep` nothing is taken out any more.
    """
    rest += data
    if keep:
        data = bytes(rest)
        rest.clear()
        return data, []
    passed, found = bytearray(), []
    while True:
        before = bytes(rest)
        packet = _packet(rest)
        if packet is None:
            return bytes(passed), found
        first, body = packet
        if first >> 4 == 3 and first & 6:
            length = int.from_bytes(body[:2], "big")
            found.append(body[2 + length : 4 + length])
        else:
            passed += before[: len(before) - len(rest)]


@dataclass
class _Pair:
    down: socket.socket
    up: socket.socket
    window: Window = field(default_factory=Window)
    rest: bytearray = field(default_factory=bytearray)
    waiting: list[tuple[float, socket.socket, bytes]] = field(default_factory=list)


class Proxy:
    """Between a client and `port` on this machine; `mode` is pass, blackhole, refuse or quota; `delay_s` holds bytes back.

    quota: every QoS 1 message is answered by PUBACK 0x97 (MQTT 5, 3.4.2.1: quota exceeded) and never reaches the broker.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self.mode = "pass"
        self.delay_s = 0.0
        self.connects: list[float] = []
        self.most_under_way = 0
        self.refused = 0
        self._pairs: list[_Pair] = []
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where a client connects to."""
        return f"mqtt://127.0.0.1:{self.port}"

    def reset(self) -> None:
        """Every connection is reset (RST), as by a router that has forgotten it."""
        with self._lock:
            for pair in self._pairs:
                self._drop(pair)
            self._pairs.clear()

    def close(self) -> None:
        """Ends it all."""
        self._stop.set()
        self._thread.join(5)
        self.reset()
        self._listener.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            with selectors.DefaultSelector() as selector:
                selector.register(self._listener, selectors.EVENT_READ)
                with self._lock:
                    for pair in self._pairs:
                        for sock in (pair.down, pair.up):
                            if sock.fileno() >= 0:
                                selector.register(sock, selectors.EVENT_READ, pair)
                events = selector.select(0.01)
            for key, _ in events:
                if key.fileobj is self._listener:
                    self._accept()
                else:
                    self._pass(key.data, key.fileobj)
            self._send_what_is_due()

    def _accept(self) -> None:
        try:
            down, _ = self._listener.accept()
        except OSError:
            return
        self.connects.append(time.monotonic())
        if self.mode == "refuse":
            _abort(down)
            return
        try:
            up = socket.create_connection(("127.0.0.1", self._target), timeout=2)
        except OSError:
            _abort(down)
            return
        for sock in (down, up):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            self._pairs.append(_Pair(down, up))

    def _pass(self, pair: _Pair, source: socket.socket) -> None:
        with self._lock:
            if pair not in self._pairs:
                return
            try:
                data = source.recv(_CHUNK)
            except OSError:
                data = b""
            if not data:
                if self.mode != "blackhole":
                    self._pairs.remove(pair)
                    self._drop(pair)
                return
            if self.mode == "blackhole":
                return
            up = source is pair.down
            pair.window.feed("up" if up else "down", data)
            self.most_under_way = max(self.most_under_way, pair.window.most)
            due_s = time.monotonic() + self.delay_s
            if up and (self.mode == "quota" or pair.rest):
                data, mids = _without_publishes(pair.rest, data, keep=self.mode != "quota")
                self.refused += len(mids)
                answer = b"".join(b"\x40\x03" + mid + b"\x97" for mid in mids)
                pair.waiting.append((due_s, pair.down, answer))
            pair.waiting.append((due_s, pair.up if up else pair.down, data))

    def _send_what_is_due(self) -> None:
        now = time.monotonic()
        with self._lock:
            for pair in list(self._pairs):
                try:
                    while pair.waiting and pair.waiting[0][0] <= now:
                        _, target, data = pair.waiting.pop(0)
                        target.sendall(data)
                except OSError:  # noqa: PERF203 - one that is gone must not keep the others waiting
                    self._pairs.remove(pair)
                    self._drop(pair)

    def _drop(self, pair: _Pair) -> None:
        _abort(pair.down)
        _abort(pair.up)


def _abort(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()

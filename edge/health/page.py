"""`/metrics`, `/healthz` and `/readyz` over HTTP, for whoever watches the node from outside. Nothing can be set here.

On loopback anybody on the machine may ask, by a name of the machine's own (against DNS rebinding); elsewhere only who
knows the token (RFC 6750). No picture is shown.
"""

import hmac
import json
import logging
import socket
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from edge.errors import ConfigError
from edge.health.exposition import CONTENT_TYPE, exposition

__all__ = ["Page"]

log = logging.getLogger(__name__)

_SILENCE_S = 5.0
_AT_ONCE = 8
_OWN_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})

Answer = Callable[[], tuple[bool, str]]
"""Whether it holds, and in words why."""


class Page:
    """Serves on threads of its own; `figures` is the newest `health` payload.

    Raises:
        ConfigError: when the address cannot be listened on.
    """

    def __init__(
        self,
        address: tuple[str, int],
        figures: Callable[[], Mapping[str, Any]],
        *,
        alive: Answer,
        ready: Answer,
        token: str | None = None,
    ) -> None:
        host, port = address
        try:
            self._server = _Server((host, port), _Handler)
        except OSError as e:
            raise ConfigError(f"health.listen {host}:{port}: {e.strerror}; another program may listen there") from e
        self._server.figures, self._server.alive, self._server.ready = figures, alive, ready
        self._server.token = token
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.2,), name="health-page", daemon=True)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Begins to answer."""
        self._thread.start()

    def close(self) -> None:
        """Ends; an answer that is being given may not be finished."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    figures: Callable[[], Mapping[str, Any]]
    alive: Answer
    ready: Answer
    token: str | None

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self.free = threading.BoundedSemaphore(_AT_ONCE)
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self.free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        del request
        log.debug("health page: %s went", client_address)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _SILENCE_S
    server_version, sys_version = "gluon-edge", ""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if not self._may():
            return
        if path == "/metrics":
            self._answer(200, CONTENT_TYPE, exposition(self.server.figures()))
        elif path in {"/healthz", "/readyz"}:
            ok, why = (self.server.alive if path == "/healthz" else self.server.ready)()
            text = json.dumps({"ok": ok, "why": why}) + "\n"
            self._answer(200 if ok else 503, "application/json", text)
        else:
            self._answer(404, "text/plain", "there are /metrics, /healthz and /readyz\n")

    do_HEAD = do_GET  # noqa: N815 - http.server's names

    def _may(self) -> bool:
        token = self.server.token
        if token is not None:
            said = self.headers.get("Authorization", "")
            if hmac.compare_digest(said.encode(), f"Bearer {token}".encode()):
                return True
            self._answer(401, "text/plain", "Authorization: Bearer ... is needed\n", ("WWW-Authenticate", "Bearer"))
            return False
        if self.headers.get("Host", "").rpartition(":")[0] in _OWN_NAMES or self.headers.get("Host") in _OWN_NAMES:
            return True
        self._answer(403, "text/plain", "ask by localhost\n")
        return False

    def _answer(self, status: int, kind: str, text: str, *more: tuple[str, str]) -> None:
        body = text.encode()
        self.send_response(status)
        for name, value in (
            ("Content-Type", kind),
            ("Content-Length", str(len(body))),
            ("Cache-Control", "no-store"),
            *more,
        ):
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
        log.debug("health page: %s", format % args)

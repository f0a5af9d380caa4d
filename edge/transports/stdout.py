"""A transport for pipes: one JSON line a message on standard output."""

# ruff: noqa: ARG002 - the arguments are the protocol's
import base64
import json
import sys
from collections.abc import Callable, Sequence
from typing import TextIO

from edge.message import NO_EXTRAS, Extras
from edge.transports.transport import Acknowledged, Connected, Disconnected, Notice, Received, Verdict

__all__ = ["StdoutTransport"]


class StdoutTransport:
    """`{"topic", "qos", "retain", "payload"}` a line; the payload is JSON where it is, else text."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        self._notices: list[Notice] = []
        self._sent = 0

    def connect(self, wake: Callable[[], None]) -> None:
        """Always succeeds."""
        self._notices.append(Connected(how="transport=stdout"))
        wake()

    def notices(self) -> list[Notice]:
        """What was written was accepted."""
        notices, self._notices = self._notices, []
        return notices

    def send(self, topic: str, payload: bytes, *, qos: int, retain: bool, extras: Extras = NO_EXTRAS) -> int | None:
        """Writes the line."""
        try:
            shown = json.loads(payload)
        except UnicodeDecodeError:
            shown = {"base64": base64.b64encode(payload).decode()}
        except ValueError:
            shown = payload.decode()
        line = json.dumps({"topic": topic, "qos": qos, "retain": retain, "payload": shown}, ensure_ascii=False)
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except (OSError, ValueError) as e:
            self._notices.append(Disconnected(f"standard output: {e}"))
            return None
        self._sent += 1
        self._notices.append(Acknowledged(self._sent, Verdict.ACCEPTED))
        return self._sent

    def subscribe(self, filters: Sequence[str]) -> None:
        """Nobody speaks to us."""

    def confirm(self, message: Received) -> None:
        """Nothing comes."""

    def disconnect(self) -> None:
        """Nothing to leave."""

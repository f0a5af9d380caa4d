"""A transport that accepts everything and sends it nowhere."""

# ruff: noqa: ARG002 - the arguments are the protocol's
from collections.abc import Callable, Sequence

from edge.message import NO_EXTRAS, Extras
from edge.transports.transport import Acknowledged, Connected, Notice, Received, Verdict

__all__ = ["DisabledTransport"]


class DisabledTransport:
    """Nobody is told anything."""

    def __init__(self) -> None:
        self._notices: list[Notice] = []
        self._sent = 0

    def connect(self, wake: Callable[[], None]) -> None:
        """Always succeeds."""
        self._notices.append(Connected(how="transport=disabled"))
        wake()

    def notices(self) -> list[Notice]:
        """Everything was accepted."""
        notices, self._notices = self._notices, []
        return notices

    def send(self, topic: str, payload: bytes, *, qos: int, retain: bool, extras: Extras = NO_EXTRAS) -> int:
        """Forgets it."""
        self._sent += 1
        self._notices.append(Acknowledged(self._sent, Verdict.ACCEPTED))
        return self._sent

    def subscribe(self, filters: Sequence[str]) -> None:
        """Nobody speaks to us."""

    def confirm(self, message: Received) -> None:
        """Nothing comes."""

    def disconnect(self) -> None:
        """Nothing to leave."""

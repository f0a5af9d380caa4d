"""Two agents with one client id throw each other out for ever: how an agent sees that it is one of them.

MQTT 5 has a word for it, 0x8E, that is often lost with the connection; many short connections in a row say it too.
"""

import logging

__all__ = ["Rivals"]

log = logging.getLogger(__name__)

_UNDISPUTED_S = 120.0
_SHORT_S, _SUSPICIOUS = 5.0, 5


class Rivals:
    """`alarm` says in words why there seems to be another client of our name, or None."""

    def __init__(self) -> None:
        self._short = 0
        self.alarm: str | None = None

    def lost(self, stood_s: float) -> None:
        """A connection that stood this long was lost."""
        self._short = self._short + 1 if stood_s < _SHORT_S else 0
        if self._short >= _SUSPICIOUS and self.alarm is None:
            reason = f"{self._short} connections in a row were accepted and lost within {_SHORT_S:g} s"
            self.alarm = f"{reason}: does another client use this node's client id?"
        if self._short == _SUSPICIOUS:
            log.error("uplink: %s", self.alarm)

    def named(self, reason: str) -> None:
        """The broker says that another has taken our place."""
        self.alarm = reason

    def stands(self, stood_s: float) -> None:
        """The connection has stood this long by now: nobody disputes it any more."""
        if stood_s > _UNDISPUTED_S:
            self.alarm = None

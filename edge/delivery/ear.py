"""Who is told what comes in, by the uplink."""

from typing import Protocol

from edge.transports.transport import Received

__all__ = ["Hearing", "NobodyHears"]


class Hearing(Protocol):
    """Called on the uplink's thread."""

    filters: tuple[str, ...]

    def connected(self) -> None:
        """A connection stands."""

    def heard(self, message: Received) -> None:
        """A message came. When this returns it may be acknowledged."""

    def step(self, *, last: bool = False) -> None:
        """Something may be ready to be written down; `last` says that nothing comes after this."""


class NobodyHears:
    """Subscribes to nothing."""

    filters: tuple[str, ...] = ()

    def connected(self) -> None:
        """Nothing to say."""

    def heard(self, message: Received) -> None:
        """Nothing comes."""

    def step(self, *, last: bool = False) -> None:
        """Nothing to do."""

"""What a transport is to the uplink: told what to do by one thread, and reporting by notices that it collects."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from edge.message import NO_EXTRAS, Extras

__all__ = ["Acknowledged", "Connected", "Disconnected", "Notice", "Received", "Transport", "Verdict", "Will"]


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker says in our place when we are lost: retained, QoS 1."""

    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Connected:
    """The other side has accepted us, and takes this much."""

    window: int = 20
    max_packet: int = 1 << 28
    retain: bool = True
    how: str = ""


@dataclass(frozen=True, slots=True)
class Disconnected:
    """We are not, or no longer, connected. `refused`: it answered no, and will again until somebody changes it.

    `taken_over`: somebody else has connected under our name.
    """

    reason: str
    refused: bool = False
    taken_over: bool = False


class Verdict(Enum):
    """What became of a message."""

    ACCEPTED = "accepted"
    LATER = "later"  # not now: quota, trouble of the broker's that passes by itself
    DENIED = "denied"  # not by us, until somebody changes the policy
    NEVER = "never"  # this very message will always be refused


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The other side's answer to the message that `send` gave this token."""

    token: int
    verdict: Verdict
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Received:
    """A message for us. `token` is what `acknowledge` needs; `answer_to` and `correlation` are the asker's (MQTT 5)."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    token: int = 0
    answer_to: str | None = None
    correlation: bytes | None = None


Notice = Connected | Disconnected | Acknowledged | Received


class Transport(Protocol):
    """A way out. One thread calls everything; `wake` may be called from any."""

    def connect(self, wake: Callable[[], None]) -> None:
        """Tries once to connect; the outcome is a notice. Blocks a few seconds at most."""

    def notices(self) -> list[Notice]:
        """What has happened since the last call, in order."""

    def send(self, topic: str, payload: bytes, *, qos: int, retain: bool, extras: Extras = NO_EXTRAS) -> int | None:
        """Hands over a message; a token to recognise its acknowledgement by, None when it could not be taken."""

    def subscribe(self, filters: Sequence[str]) -> None:
        """Asks for what is said to us; what comes is a notice."""

    def confirm(self, message: Received) -> None:
        """Says that a message has arrived for good: it will not come again."""

    def disconnect(self) -> None:
        """Leaves in good order, or not connected at all: gives everything back. Bounded."""

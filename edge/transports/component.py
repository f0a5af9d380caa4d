"""What a process is told that a Greengrass nucleus has started, and what becomes of what it asks the nucleus for."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum

__all__ = ["Answer", "ComponentAddress", "Then"]

_SOCKET, _TOKEN = "AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT", "SVCUID"


@dataclass(frozen=True, slots=True)
class ComponentAddress:
    """Where the nucleus listens, as whom to speak to it, and what it calls this device."""

    socket: str
    token: str = field(repr=False)
    thing: str | None = None

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> "ComponentAddress | None":
        """What the nucleus puts into a component's environment; None elsewhere."""
        socket, token = environ.get(_SOCKET), environ.get(_TOKEN)
        return cls(socket, token, environ.get("AWS_IOT_THING_NAME") or None) if socket and token else None


class Answer(Enum):
    """What became of a request."""

    DONE = "done"
    BUSY = "busy"  # ServiceError: not now; offline, too much under way, or trouble of the nucleus's own
    DENIED = "denied"  # the component's accessControl does not name it
    NEVER = "never"  # the request itself is wrong
    LOST = "lost"  # the connection went before the answer came


Then = Callable[[Answer, str], None]
"""Told what became of a request; on awsiotsdk's thread, or at once."""

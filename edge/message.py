"""What goes to the transport: a topic, bytes, and how much it matters; checked before it is accepted."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

__all__ = ["NO_EXTRAS", "Extras", "IllegalMessageError", "Importance", "Message", "encode", "stamp"]

# The floor to design to: AWS IoT Core.
MAX_SLASHES = 7
MAX_TOPIC_BYTES = 256
MAX_PAYLOAD_BYTES = 128 * 1024
_STAMP_BYTES = 80
_ILLEGAL = re.compile(r"[\x00-\x1f\x7f-\x9f+#\ud800-\udfff\ufffe\uffff]")


class IllegalMessageError(ValueError):
    """A message that some broker would refuse for ever, so it never enters the queue."""


class Importance(IntEnum):
    """What is given up first when not all can be kept: the lowest."""

    NOW_OR_NEVER = 0  # frames: worth nothing later
    C = 1  # health
    B = 2  # states
    A = 3  # events


@dataclass(frozen=True, slots=True)
class Extras:
    """What MQTT 5 carries beside topic and payload; other transports leave it out."""

    content_type: str | None = None
    correlation: bytes | None = None
    expires_s: int | None = None


NO_EXTRAS = Extras()


@dataclass(frozen=True, slots=True)
class Message:
    """A message, legal everywhere.

    `stamped`: the body is a JSON object that is given `sent_at` and `replayed` when it is sent. `last_value`: the
    newest of its topic is what matters, and it is sent again on every connect; with `history` those before it are
    delivered too, but never retained over a newer one. `seq`: the node's counter where the payload carries it.
    `lifetime_s`: worth nothing afterwards.

    Raises:
        IllegalMessageError: when topic or payload break a limit.
    """

    topic: str
    body: bytes
    importance: Importance
    qos: int = 1
    retain: bool = False
    stamped: bool = True
    last_value: bool = False
    history: bool = False
    seq: int | None = None
    id: str | None = None
    lifetime_s: float | None = None
    extras: Extras = NO_EXTRAS
    size: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        topic = self.topic.encode(errors="replace")
        if not topic or len(topic) > MAX_TOPIC_BYTES or self.topic.count("/") > MAX_SLASHES:
            raise IllegalMessageError(
                f"topic {self.topic[:80]!r}: more than {MAX_TOPIC_BYTES} bytes or {MAX_SLASHES} /"
            )
        if _ILLEGAL.search(self.topic) or self.topic.startswith("$"):
            raise IllegalMessageError(f"topic {self.topic[:80]!r}: holds what a topic may not")
        limit = MAX_PAYLOAD_BYTES - (_STAMP_BYTES if self.stamped else 0)
        if len(self.body) > limit:
            raise IllegalMessageError(f"topic {self.topic}: {len(self.body)} bytes, more than {limit}")
        object.__setattr__(self, "size", len(topic) + len(self.body) + _STAMP_BYTES)

    def payload(self, *, sent_at: str, replayed: bool) -> bytes:
        """The bytes to send now."""
        return stamp(self.body, sent_at=sent_at, replayed=replayed) if self.stamped else self.body


def stamp(body: bytes, *, sent_at: str, replayed: bool) -> bytes:
    """A JSON object with the two keys more that are known only when it is sent."""
    return b'%s,"sent_at":"%s","replayed":%s}' % (
        body[:-1],
        sent_at.encode(),
        b"true" if replayed else b"false",
    )


def encode(payload: Mapping[str, Any]) -> bytes:
    """A JSON object as compact UTF-8.

    Raises:
        IllegalMessageError: when a number is NaN or infinite, which JSON does not have.
    """
    try:
        return json.dumps(payload, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode()
    except ValueError as e:
        raise IllegalMessageError(f"payload: {e}") from e

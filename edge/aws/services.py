"""Device management by AWS IoT Core: topics that are reserved, asked and answered over the connection there is.

The services answer at once or not at all, so nothing of this goes through the spool. What both services have in common:
a request goes to `<base>/<operation>`, its answer comes on `/accepted` or `/rejected` with the request's `clientToken`
(docs.aws.amazon.com/iot, "Jobs device MQTT API operations" and "Device Shadow MQTT topics").
"""

import json
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from paho.mqtt.client import topic_matches_sub

from edge.message import encode

__all__ = ["Asking", "AwsServices", "Question", "Say", "Service", "parse"]

_MAX_BYTES = 128 * 1024
_ANSWER_S = 10.0

Say = Callable[[str, bytes], bool]
"""Sends a message now, past the spool; False when there is no connection, or no room. On the uplink's thread."""


class Service(Protocol):
    """A part of AWS IoT Core as a node sees it. The uplink's thread calls everything."""

    filters: tuple[str, ...]

    def connected(self) -> None:
        """A connection stands, and the filters are subscribed to."""

    def heard(self, topic: str, payload: bytes) -> None:
        """A message on one of the filters."""

    def step(self) -> None:
        """Time has passed, or something has changed."""


class AwsServices:
    """All services of a thing as one; they look for what is new at most every `every_s`, however often they are asked."""

    def __init__(
        self, services: Sequence[Service], *, every_s: float = 0.25, mono: Callable[[], float] = time.monotonic
    ) -> None:
        self._services = services
        self._every_s = every_s
        self._mono = mono
        self._next_at = 0.0
        self.filters: tuple[str, ...] = tuple(f for service in services for f in service.filters)

    def connected(self) -> None:
        """A connection stands."""
        for service in self._services:
            service.connected()

    def heard(self, topic: str, payload: bytes) -> None:
        """Hands a message to the service that it is for."""
        for service in self._services:
            if any(topic_matches_sub(f, topic) for f in service.filters):
                service.heard(topic, payload)

    def step(self) -> None:
        """Time has passed."""
        now = self._mono()
        if now >= self._next_at:
            self._next_at = now + self._every_s
            for service in self._services:
                service.step()


@dataclass(frozen=True, slots=True)
class Question:
    """A request that waits for its answer."""

    topic: str
    body: Mapping[str, Any]
    token: str
    asked_at: float


class Asking:
    """One question at a time: asked again with the same token when nothing is answered in time."""

    def __init__(self, say: Say, *, mono: Callable[[], float] = time.monotonic) -> None:
        self._say = say
        self._mono = mono
        self.waiting: Question | None = None

    def ask(self, topic: str, body: Mapping[str, Any]) -> None:
        """Asks; the answer is recognised by `answers`."""
        token = secrets.token_hex(8)
        self._send(topic, {**body, "clientToken": token}, token)

    def again(self) -> None:
        """Asks anew what has waited too long."""
        waiting = self.waiting
        if waiting is not None and self._mono() - waiting.asked_at > _ANSWER_S:
            self._send(waiting.topic, waiting.body, waiting.token)

    def answers(self, answer: Mapping[str, Any]) -> Question | None:
        """The question that this is the answer to, which is then answered; None when it is somebody else's."""
        waiting = self.waiting
        if waiting is None or answer.get("clientToken") != waiting.token:
            return None
        self.waiting = None
        return waiting

    def forget(self) -> None:
        """No answer will come any more."""
        self.waiting = None

    def _send(self, topic: str, body: Mapping[str, Any], token: str) -> None:
        self.waiting = Question(topic, body, token, self._mono())
        self._say(topic, encode(body))


def parse(payload: bytes) -> dict[str, Any] | None:
    """A JSON object, or None."""
    if len(payload) > _MAX_BYTES:
        return None
    try:
        found = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None

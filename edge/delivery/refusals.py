"""What the broker does not take now: which topics wait, which pause is due, and what is told about it.

A topic that is denied is tried again after 2 s, then after twice as long each time, up to the longest wait. That lasts
over connections: Mosquitto with `max_queued_messages 0`, and AWS IoT Core always, hang up on who is denied, and a
connection that began with the same message again would never carry another.

What is tried again is tried alone, of a denied topic by the spool and after a pause here: were a whole window under way
when the broker changes its mind, it would refuse the older half and take the newer, and the order were lost.
"""

import logging
from collections.abc import Callable

from edge.log import Repeats

__all__ = ["Refusals"]

log = logging.getLogger(__name__)

_FIRST_HOLD_S = 2.0
_FIRST_PAUSE_S = 1.0


class Refusals:
    """Times are those of the caller's monotonic clock, in seconds. `alarm` says in words what is not taken, or None."""

    def __init__(self, *, longest_s: float, chance: Callable[[], float]) -> None:
        self._longest_s = longest_s
        self._chance = chance
        self._waits: dict[str, float] = {}
        self._held: dict[str, float] = {}
        self._pause_s = _FIRST_PAUSE_S
        self._resumes_s = 0.0
        self._alone = False
        self._repeats = Repeats(log)
        self.alarm: str | None = None
        self.count = 0

    def refused(self, topic: str, reason: str) -> None:
        """The broker has not taken a message."""
        self.count += 1
        self.alarm = f"the broker does not take {topic}: {reason}"
        self._repeats.failed(f"uplink: {self.alarm}")

    def hold(self, topic: str, now_s: float) -> None:
        """A topic is denied until somebody changes the policy: it is tried again later, and later."""
        if topic not in self._held:
            wait_s = self._waits.get(topic, _FIRST_HOLD_S)
            self._held[topic] = now_s + wait_s
            self._waits[topic] = min(max(self._longest_s, _FIRST_HOLD_S), 2 * wait_s)

    def denied(self, topic: str) -> bool:
        """Whether a topic was denied the last time that the broker said anything about it."""
        return topic in self._waits

    def due(self, now_s: float) -> set[str]:
        """The topics of which one may be tried now."""
        found = {topic for topic, at_s in self._held.items() if now_s >= at_s}
        for topic in found:
            del self._held[topic]
        return found

    def window(self, most: int) -> int:
        """How many messages may be under way now."""
        return 1 if self._alone else most

    def pause(self, now_s: float, sent_s: float) -> float:
        """The broker has had enough for now of what was sent then: when to go on. A whole window makes one pause."""
        if sent_s >= self._resumes_s:
            self._resumes_s = now_s + self._pause_s * (0.5 + self._chance() / 2)
            self._pause_s = min(self._longest_s, 2 * self._pause_s)
            self._alone = True
        return self._resumes_s

    def taken(self, topic: str, sent_s: float) -> bool:
        """The broker has taken a message that was sent then; whether its topic had been denied."""
        if sent_s >= self._resumes_s:
            # What was under way before the pause proves nothing.
            self._alone, self._pause_s = False, _FIRST_PAUSE_S
        was_denied = self._waits.pop(topic, None) is not None
        self._held.pop(topic, None)
        if self.alarm is not None and not self._waits and not self._alone:
            log.info("uplink: the broker takes everything again, after %d refusals", self._repeats.succeeded())
            self.alarm = None
        return was_denied

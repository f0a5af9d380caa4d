"""The thread between outbox and transport: connects, keeps a window of messages under way, and never gives up."""

import logging
import random
import threading
import time
from collections.abc import Callable

from edge.clock import Clock, iso_utc
from edge.log import Repeats
from edge.message import Importance
from edge.outbox import Entry, Outbox
from edge.transports.transport import Acknowledged, Connected, Disconnected, Transport, Verdict

__all__ = ["Uplink"]

log = logging.getLogger(__name__)

_STABLE_S = 20.0
_PAUSE_S = 5.0
_ANSWER_S = 3.0
_GOODBYE_S = 1.0


class Uplink:
    """Takes from the outbox and gives to the transport; a message leaves the outbox on its acknowledgement alone."""

    def __init__(
        self,
        transport: Transport,
        outbox: Outbox,
        *,
        status_topic: str,
        clock: Clock,
        min_wait_s: float = 0.5,
        max_wait_s: float = 60.0,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._transport = transport
        self._outbox = outbox
        self._status_topic = status_topic
        self._clock = clock
        self._min_wait_s = min_wait_s
        self._max_wait_s = max_wait_s
        self._chance = chance
        self._woken = threading.Event()
        self._thread = threading.Thread(target=self._run, name="uplink", daemon=True)
        self._repeats = Repeats(log)
        self._refusals = Repeats(log)
        self._link: Connected | None = None
        self._connecting = False
        self._since_ns = 0
        self._wake_at = 0.0  # time.monotonic() of the next try to connect, the answer's deadline, or a pause's end
        self._failures = 0
        self._under_way: dict[int, Entry] = {}
        self._handed: set[int] = set()
        self._raised = -1  # the message that the transport raised at last; twice the same is the message's fault
        self._stop_at: float | None = None
        self.sent = 0
        self.refused = 0
        self.dead = 0
        self.connects = 0

    @property
    def connected(self) -> bool:
        """Whether the other side has accepted us, and has not gone since."""
        return self._link is not None

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def wake(self) -> None:
        """Says that there is something to do. Any thread may."""
        self._woken.set()

    def stop(self, timeout_s: float) -> bool:
        """Sends what waits for as long as there is time, says `stopped`, and leaves; whether the thread has ended."""
        self._stop_at = time.monotonic() + timeout_s
        self._woken.set()
        self._thread.join(timeout_s + _GOODBYE_S + 3.5)
        left = self._outbox.depth
        if left:
            log.warning("uplink: %d messages were not delivered and are lost", left)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._finished():
            self._woken.clear()
            try:
                self._step()
            except Exception:  # one bad message or broker must not end the thread
                log.exception("uplink: unexpected; going on")
                self._lost(Disconnected("an unexpected error"))
            self._woken.wait(self._idle_s())
        self._say_goodbye()

    def _finished(self) -> bool:
        if self._stop_at is None:
            return False
        return (not self._outbox.depth and not self._connecting) or time.monotonic() >= self._stop_at

    def _idle_s(self) -> float:
        waits = [1.0]  # the transport's own thread may die without a word
        if self._wake_at:
            waits.append(self._wake_at - time.monotonic())
        elif not self.connected:
            waits.append(0.0)
        if self._stop_at is not None:
            waits.append(0.05 if self._finished() else self._stop_at - time.monotonic())
        return max(0.0, min(waits))

    def _step(self) -> None:
        for notice in self._transport.notices():
            if isinstance(notice, Connected):
                self._accepted(notice)
            elif isinstance(notice, Disconnected):
                self._lost(notice)
            else:
                self._acknowledged(notice)
        due = time.monotonic() >= self._wake_at
        if self._link is not None:
            if due:
                self._wake_at = 0.0
                self._fill_window(self._link)
        elif due and self._connecting:
            self._lost(Disconnected("the broker does not answer"))
        elif due:
            self._connecting = True
            self._wake_at = time.monotonic() + _ANSWER_S
            self._transport.connect(self.wake)
            self._woken.set()

    def _accepted(self, link: Connected) -> None:
        self._connecting, self._wake_at = False, 0.0
        self._link = link
        self._since_ns = self._clock.mono_ns()
        self.connects += 1
        log.info("uplink: connected %s after=%d failures", link.how, self._repeats.succeeded())
        self._transport.send(self._status_topic, b"online", qos=1, retain=link.retain)
        self._outbox.connected()

    def _lost(self, notice: Disconnected) -> None:
        if self._link is None and not self._connecting:
            return
        stable_s = (self._clock.mono_ns() - self._since_ns) / 1e9 if self._link else 0.0
        self._failures = 0 if stable_s > _STABLE_S else self._failures + 1
        self._link, self._connecting = None, False
        self._transport.disconnect()
        self._outbox.give_back(self._under_way.values())
        self._under_way.clear()
        if notice.refused:
            wait_s = self._max_wait_s * (0.5 + 0.5 * self._chance())
        else:
            # Full jitter: a thousand nodes that lost one broker do not come back as one.
            ceiling = min(self._max_wait_s, self._min_wait_s * 2.0 ** min(self._failures, 30))
            wait_s = max(0.05, ceiling * self._chance())
        self._wake_at = time.monotonic() + wait_s
        self._repeats.failed(f"uplink: {notice.reason}; trying again")

    def _fill_window(self, link: Connected) -> None:
        while len(self._under_way) < link.window:
            entry = self._outbox.take()
            if entry is None:
                return
            message = entry.message
            if message.size > link.max_packet:
                self._bury(entry, f"larger than the {link.max_packet} bytes that the broker takes")
                continue
            replayed = entry.order in self._handed or entry.accepted_ns < self._since_ns
            payload = message.payload(sent_at=iso_utc(self._clock.wall_ns()), replayed=replayed)
            try:
                token = self._transport.send(
                    message.topic, payload, qos=message.qos, retain=message.retain and link.retain
                )
            except Exception as e:
                if entry.order == self._raised:
                    self._bury(entry, f"{type(e).__name__}: {e}")
                else:
                    self._raised = entry.order
                    self._outbox.give_back([entry])
                raise
            if token is None:
                self._outbox.give_back([entry])
                self._lost(Disconnected("the connection takes no more"))
                return
            self._under_way[token] = entry
            if message.qos:
                self._handed.add(entry.order)

    def _acknowledged(self, notice: Acknowledged) -> None:
        entry = self._under_way.pop(notice.token, None)
        if entry is None:  # `status`, or of an older connection
            return
        message = entry.message
        if notice.verdict is Verdict.ACCEPTED:
            self.sent += 1
            self._forget(entry)
        elif notice.verdict is Verdict.NEVER:
            self._bury(entry, notice.reason)
        else:
            self.refused += 1
            self._refusals.failed(f"uplink: the broker does not take {message.topic}: {notice.reason}")
            if message.last_value or message.importance < Importance.B:
                self._forget(entry)
            else:
                self._outbox.give_back([entry])
                self._wake_at = time.monotonic() + _PAUSE_S

    def _bury(self, entry: Entry, reason: str) -> None:
        self.dead += 1
        log.warning("uplink: %s will never be accepted and is given up: %s", entry.message.topic, reason)
        self._forget(entry)

    def _forget(self, entry: Entry) -> None:
        self._handed.discard(entry.order)
        self._outbox.done(entry)

    def _say_goodbye(self) -> None:
        if self._link is not None:
            token = self._transport.send(self._status_topic, b"stopped", qos=1, retain=self._link.retain)
            deadline = time.monotonic() + _GOODBYE_S
            while token is not None and time.monotonic() < deadline:
                self._woken.clear()
                notices = self._transport.notices()
                if any(
                    isinstance(n, Disconnected) or (isinstance(n, Acknowledged) and n.token == token) for n in notices
                ):
                    break
                self._woken.wait(max(0.0, deadline - time.monotonic()))
        self._link = None
        self._transport.disconnect()

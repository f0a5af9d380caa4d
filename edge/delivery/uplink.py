"""The thread between spool and transport: connects, keeps a window of messages under way, and never gives up."""

import logging
import random
import threading
import time
from collections.abc import Callable

from edge.clock import Clock, iso_utc
from edge.delivery.backoff import Backoff
from edge.delivery.ear import Hearing, NobodyHears
from edge.delivery.outbox import extras_of
from edge.delivery.refusals import Refusals
from edge.delivery.rivals import Rivals
from edge.delivery.underway import UnderWay
from edge.log import Repeats
from edge.message import stamp
from edge.spool import Record, Spool
from edge.transports.transport import Acknowledged, Connected, Disconnected, Notice, Received, Transport, Verdict

__all__ = ["Uplink"]

log = logging.getLogger(__name__)

_ANSWER_S = 3.0
_GOODBYE_S = 1.0
_LEAVE_S = 0.5
_ROOM_FOR_HEADERS = 96


class Uplink:
    """Takes from the spool and gives to the transport; a record leaves the spool on its acknowledgement alone."""

    def __init__(
        self,
        transport: Transport,
        spool: Spool,
        *,
        status_topic: str,
        clock: Clock,
        hearing: Hearing | None = None,
        min_wait_s: float = 0.5,
        max_wait_s: float = 60.0,
        ack_timeout_s: float = 20.0,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._transport = transport
        self._spool = spool
        self._status_topic = status_topic
        self._clock = clock
        self._hearing: Hearing = hearing or NobodyHears()
        self._backoff = Backoff(least_s=min_wait_s, most_s=max_wait_s, chance=chance)
        self._ack_timeout_s = ack_timeout_s
        self._woken = threading.Event()
        self._thread = threading.Thread(target=self._run, name="uplink", daemon=True)
        self._repeats = Repeats(log)
        self._refusals = Refusals(longest_s=max_wait_s, chance=chance)
        self._link: Connected | None = None
        self._connecting = False
        self._since_ns = 0
        self._wake_at = 0.0  # time.monotonic() of the next try to connect, the answer's deadline, or a pause's end
        self._under_way = UnderWay()
        self._stop_at: float | None = None
        self._leave_at = 0.0
        self._last = False
        self._failed_on = 0
        self._rivals = Rivals()
        self._unwelcome: str | None = None
        self.sent = 0
        self.dead = 0
        self.connects = 0

    @property
    def connected(self) -> bool:
        """Whether the other side has accepted us, and has not gone since."""
        return self._link is not None

    @property
    def refused(self) -> int:
        """Messages that the broker did not take when they were sent."""
        return self._refusals.count

    @property
    def alarms(self) -> dict[str, str]:
        """What is wrong now in words, by a key that stays the same."""
        known = {"refused": self._unwelcome, "taken-over": self._rivals.alarm, "not-taken": self._refusals.alarm}
        return {key: alarm for key, alarm in known.items() if alarm is not None}

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def wake(self) -> None:
        """Says that there is something to do. Any thread may."""
        self._woken.set()

    def say(self, topic: str, payload: bytes) -> bool:
        """Sends now, past the spool: questions to services that answer at once or not at all. For `Hearing` alone."""
        if self._link is None or len(payload) + len(topic) + _ROOM_FOR_HEADERS > self._link.max_packet:
            return False
        token = self._transport.send(topic, payload, qos=1, retain=False)
        self._under_way.add_other(token)
        return token is not None

    def last_connection(self) -> None:
        """Opens no other connection from now on: opening one can take longer than there is time for at the end."""
        self._last = True

    def stop(self, timeout_s: float, *, within_s: float | None = None) -> bool:
        """Sends what waits for as long as there is time, says `stopped`, and leaves; whether the thread has ended.

        What was not delivered is on the disk when this returns, for the next start. `within_s` bounds it all: what is to
        be sent has what the goodbye and the disk do not need.
        """
        now = time.monotonic()
        if within_s is None:
            within_s = timeout_s + _GOODBYE_S + 3.5
        self._leave_at = now + within_s - _LEAVE_S
        self._stop_at = min(now + timeout_s, self._leave_at - _LEAVE_S)
        self._woken.set()
        self._thread.join(within_s + _LEAVE_S)
        left = self._spool.depth
        if left:
            log.warning("uplink: %d messages wait for the next start", left)
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
        nothing_to_do = not self._spool.depth or (self._last and self._link is None)
        return (nothing_to_do and not self._connecting) or time.monotonic() >= self._stop_at

    def _idle_s(self) -> float:
        now = time.monotonic()
        waits = [1.0]  # the transport's own thread may die without a word
        if self._wake_at:
            waits.append(self._wake_at - now)
        elif self._link is None:
            waits.append(0.0)
        elif len(self._under_way) < self._refusals.window(self._link.window):
            waits.append(self._spool.backlog_due_s() or 1.0)
        waits.append(1.0 if (due_s := self._spool.due_s()) is None else due_s)
        if self._stop_at is not None:
            waits.append(0.05 if self._finished() else self._stop_at - now)
        return max(0.0, min(waits))

    def _step(self) -> None:
        for notice in self._transport.notices():
            self._take_notice(notice)
        self._hearing.step()
        self._spool.tick()
        now = time.monotonic()
        if topics := self._refusals.due(now):
            self._spool.attempt(topics)
        if self._link is not None:
            self._check_answers(now)
        due = now >= self._wake_at
        if self._link is not None:
            if due:
                self._wake_at = 0.0
                self._fill_window(self._link)
        elif due and self._connecting:
            self._lost(Disconnected("the broker does not answer"))
        elif due and self._last:
            self._wake_at = float("inf")
        elif due:
            self._connecting = True
            self._wake_at = time.monotonic() + _ANSWER_S
            self._transport.connect(self.wake)
            self._woken.set()

    def _take_notice(self, notice: Notice) -> None:
        if isinstance(notice, Connected):
            self._accepted(notice)
        elif isinstance(notice, Disconnected):
            self._lost(notice)
        elif isinstance(notice, Received):
            self._hear(notice)
        else:
            self._acknowledged(notice)

    def _accepted(self, link: Connected) -> None:
        self._connecting, self._wake_at = False, 0.0
        self._link = link
        self._since_ns = self._clock.mono_ns()
        self.connects += 1
        log.info("uplink: connected %s after=%d failures", link.how, self._repeats.succeeded())
        if self._hearing.filters:
            self._transport.subscribe(self._hearing.filters)
        # It takes a place in the window too, until it is acknowledged.
        self._under_way.add_other(self._transport.send(self._status_topic, b"online", qos=1, retain=link.retain))
        self._spool.connected()
        self._hearing.connected()

    def _lost(self, notice: Disconnected) -> None:
        if self._link is None and not self._connecting:
            return
        stood_s = self._stood_s() if self._link is not None else 0.0
        if self._link is not None:
            self._rivals.lost(stood_s)
        was_up, self._link, self._connecting = self._link is not None, None, False
        self._transport.disconnect()
        for record in self._under_way.records:
            if self._refusals.denied(record.topic):
                # A broker that hangs up on what it denies; the next connection must not begin with the same again.
                self._spool.hold(record)
                self._refusals.hold(record.topic, time.monotonic())
        self._under_way.clear()
        if was_up:
            self._spool.disconnected(lost=True)
        if notice.taken_over:
            self._rivals.named(notice.reason)
        elif notice.refused:
            self._unwelcome = notice.reason
        hopeless = notice.refused or notice.taken_over
        wait_s = self._backoff.longest() if hopeless else self._backoff.after(stood_s)
        self._wake_at = time.monotonic() + wait_s
        self._repeats.failed(f"uplink: {notice.reason}; trying again")

    def _stood_s(self) -> float:
        return (self._clock.mono_ns() - self._since_ns) / 1e9

    def _check_answers(self, now: float) -> None:
        """A broker that takes messages and says nothing is no broker; the oldest message under way tells."""
        self._rivals.stands(self._stood_s())
        oldest_s = self._under_way.oldest_s
        if oldest_s is not None and now - oldest_s > self._ack_timeout_s:
            self._lost(Disconnected(f"the broker has acknowledged nothing for {self._ack_timeout_s:g} s"))

    def _hear(self, message: Received) -> None:
        try:
            self._hearing.heard(message)
        except Exception:  # nobody outside may end the connection by what they say
            log.exception("uplink: a message on %r was not understood", message.topic[:80])
        # Even what made us stumble: it would come again and again.
        self._transport.confirm(message)

    def _fill_window(self, link: Connected) -> None:
        while len(self._under_way) < self._refusals.window(link.window):
            record = self._spool.take()
            if record is None:
                return
            payload = record.body
            if record.stamped:
                payload = stamp(payload, sent_at=iso_utc(self._clock.wall_ns()), replayed=record.replayed)
            if len(payload) + len(record.topic) + _ROOM_FOR_HEADERS > link.max_packet:
                self._bury(record, f"larger than the {link.max_packet} bytes that the broker takes")
                continue
            # A state of the past is told, but must not be retained over the present one.
            retain = record.retain and link.retain and (record.newest or not record.replayed)
            try:
                extras = extras_of(record, self._spool.life_left_s(record))
                token = self._transport.send(record.topic, payload, qos=record.qos, retain=retain, extras=extras)
            except Exception as e:
                if self._failed_on == record.row:
                    self._bury(record, f"cannot be sent: {e}")
                    continue
                self._failed_on = record.row
                self._spool.later(record)
                raise
            if token is None:
                self._spool.later(record)
                self._lost(Disconnected("the connection takes no more"))
                return
            self._under_way.add(token, record, time.monotonic())

    def _acknowledged(self, notice: Acknowledged) -> None:
        found = self._under_way.acknowledged(notice.token)
        if found is None:
            return
        record, sent_s = found
        if notice.verdict is Verdict.ACCEPTED:
            self.sent += 1
            self._unwelcome = None
            self._spool.done(record)
            if self._refusals.taken(record.topic, sent_s):
                self._spool.release({record.topic})
        elif notice.verdict is Verdict.NEVER:
            self._bury(record, notice.reason)
        else:
            self._not_now(record, notice, sent_s)

    def _not_now(self, record: Record, notice: Acknowledged, sent_s: float) -> None:
        self._refusals.refused(record.topic, notice.reason)
        if record.volatile or record.letter == "C":
            self._spool.done(record)
        elif notice.verdict is Verdict.DENIED:
            self._spool.hold(record)
            self._refusals.hold(record.topic, time.monotonic())
        else:
            self._spool.later(record)
            self._wake_at = self._refusals.pause(time.monotonic(), sent_s)

    def _bury(self, record: Record, reason: str) -> None:
        self.dead += 1
        self._spool.bury(record, reason)

    def _say_goodbye(self) -> None:
        if self._link is not None:
            # Over the window the broker may hang up (MQTT 5, 4.9), and say `offline`; QoS 0 does not count.
            room = len(self._under_way) < self._link.window
            token = self._transport.send(self._status_topic, b"stopped", qos=int(room), retain=self._link.retain)
            if not room:
                token = None
            deadline = min(time.monotonic() + _GOODBYE_S, self._leave_at)
            while token is not None and time.monotonic() < deadline:
                self._woken.clear()
                notices = self._transport.notices()
                for notice in notices:
                    if isinstance(notice, Acknowledged) and notice.token != token:
                        self._acknowledged(notice)
                if any(
                    isinstance(n, Disconnected) or (isinstance(n, Acknowledged) and n.token == token) for n in notices
                ):
                    break
                self._woken.wait(max(0.0, deadline - time.monotonic()))
            self._spool.disconnected(lost=False)
        self._link = None
        self._hearing.step(last=True)
        self._spool.flush()
        self._transport.disconnect()

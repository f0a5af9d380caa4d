"""AWS IoT Greengrass: the same messages over the nucleus's IPC, to AWS IoT Core or to this device's other components.

A nucleus keeps nothing that it has not taken, and the lite one says ServiceError when it is offline or has too much
under way: the spool keeps all until the nucleus has answered. Connected means that a message was taken, not only that
the socket is open; a nucleus that takes nothing counts as a lost connection, and the uplink waits and tries again.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from edge.errors import TransportError, TransportRefusedError
from edge.message import NO_EXTRAS, Extras
from edge.transports.component import Answer
from edge.transports.fit import fit
from edge.transports.lanes import Lanes, Parcel
from edge.transports.limits import CLASSIC, LITE, room_for
from edge.transports.nucleus import Nucleus, NucleusKind
from edge.transports.transport import Acknowledged, Connected, Disconnected, Notice, Received, Verdict

__all__ = ["Destination", "GreengrassTransport"]

log = logging.getLogger(__name__)

Destination = Literal["iot-core", "local"]

_WINDOW = 20
_PAUSE_S, _MAX_PAUSE_S = 0.1, 2.0
_AWAY_AFTER = 4  # refusals in a row, of anything, until the cloud counts as away
_POISON_TRIES, _POISON_PASSED = 10, 30
_DEAF_S = 0.5


@dataclass(frozen=True, slots=True)
class _Answered:
    epoch: int
    token: int
    answer: Answer
    words: str


@dataclass(frozen=True, slots=True)
class _Lost:
    epoch: int
    reason: str


class GreengrassTransport:
    """A component's way out. `hello` is the topic whose message opens the connection, `levels` name a camera's lane.

    `kind` overrides what the nucleus is found to be; one that leaves a message unanswered for `hung_s` is hung up on.
    """

    def __init__(
        self,
        nucleus: Nucleus,
        *,
        destination: Destination,
        hello: str,
        levels: int,
        kind: NucleusKind | None = None,
        hung_s: float = 5.0,
        mono_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._nucleus = nucleus
        self._local = destination == "local"
        self._hello, self._levels, self._kind = hello, levels, kind
        self._hung_s = hung_s
        self._mono_s = mono_s
        self._limits = LITE
        self._lanes = Lanes(levels=levels, records=1, window_bytes=1)
        self._since: dict[int, float] = {}
        self._heard: deque[_Answered | _Lost | Received] = deque()
        self._notices: list[Notice] = []
        self._wake: Callable[[], None] = lambda: None
        self._stop_listening: Callable[[], None] | None = None
        self._subscribed: dict[str, int] = {}
        self._deaf: dict[str, tuple[float, str]] = {}
        self._epoch = 0
        self._token = 0
        self._link = False
        self._accepted = 0
        self._busy = 0
        self._resume_at = 0.0
        self._timer: threading.Timer | None = None

    def connect(self, wake: Callable[[], None]) -> None:
        """Connects to the nucleus if that is not done, and offers it a first message; its answer comes as a notice."""
        self.disconnect()
        self._wake = wake
        nucleus = self._nucleus
        try:
            nucleus.connect()
        except (TransportError, TransportRefusedError) as e:
            self._notices.append(Disconnected(str(e), refused=isinstance(e, TransportRefusedError)))
            return
        if self._stop_listening is None:
            self._stop_listening = nucleus.on_lost(self._lost)
        self._limits = CLASSIC if (self._kind or nucleus.kind) == "classic" else LITE
        self._lanes.records, self._lanes.window_bytes = self._limits.records, self._limits.window_bytes
        self._send(Parcel(self._next_token(), self._hello, b"online", qos=1, retain=self._retains))

    def notices(self) -> list[Notice]:
        """What the nucleus answered and said, and what follows from it."""
        while self._heard:
            item = self._heard.popleft()
            if isinstance(item, Received):
                self._notices.append(item)
            elif item.epoch != self._epoch:
                continue  # of a connection that is over
            elif isinstance(item, _Answered):
                self._take(item)
            else:
                self._notices.append(Disconnected(item.reason))
        if self._link and self._mono_s() >= self._resume_at:
            self._pump()
        for wanted, (since, why) in list(self._deaf.items()):
            # A connection that goes closes its streams first: what it says of itself a moment later is the reason.
            if self._link and self._mono_s() - since > _DEAF_S:
                self._deaf.pop(wanted, None)
                self._notices.append(Disconnected(f"cannot hear {wanted}: {why}"))
        notices, self._notices = self._notices, []
        return notices

    def send(self, topic: str, payload: bytes, *, qos: int, retain: bool, extras: Extras = NO_EXTRAS) -> int | None:
        """Takes a message into its camera's lane; one that is too long is shortened, or refused for good."""
        del extras
        if not self._link:
            return None
        token = self._next_token()
        room = room_for(topic, self._limits, local=self._local)
        shorter = fit(payload, room)
        if shorter is None:
            reason = f"{len(payload)} bytes, and the {self._limits.name} nucleus takes {room} on this topic"
            self._notices.append(Acknowledged(token, Verdict.NEVER, reason))
            self._wake()
            return token
        self._lanes.put(Parcel(token, topic, shorter, qos, retain and self._retains))
        if self._mono_s() >= self._resume_at:
            self._pump()
        return token

    def subscribe(self, filters: Sequence[str]) -> None:
        """Asks for what is said to us, once a connection; the nucleus keeps nothing for us while we are away."""
        connection = self._nucleus.connects
        for wanted in filters:
            if self._subscribed.get(wanted) == connection:
                continue
            self._subscribed[wanted] = connection
            self._nucleus.subscribe(
                wanted,
                local=self._local,
                heard=self._hear,
                closed=partial(self._unsubscribed, wanted, connection, "its stream was closed"),
                then=partial(self._subscription_answered, wanted, connection),
            )

    def confirm(self, message: Received) -> None:
        """IPC has no acknowledgement for what it delivers."""

    def disconnect(self) -> None:
        """Forgets what is under way. The connection itself is the process's, and stays: unless it hangs."""
        self._epoch += 1
        self._link = False
        if any(self._mono_s() - since > self._hung_s for since in self._since.values()):
            log.warning("the nucleus has left messages unanswered for %g s: connecting anew", self._hung_s)
            self._nucleus.drop()
        self._since.clear()
        self._lanes.clear()
        self._notices.clear()
        self._deaf.clear()
        self._busy, self._resume_at = 0, 0.0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._stop_listening is not None:
            self._stop_listening()
            self._stop_listening = None

    @property
    def _retains(self) -> bool:
        return self._limits.retains and not self._local

    def _next_token(self) -> int:
        self._token += 1
        return self._token

    def _pump(self) -> None:
        while (parcel := self._lanes.take()) is not None:
            self._send(parcel)

    def _send(self, parcel: Parcel) -> None:
        self._since[parcel.token] = self._mono_s()
        self._nucleus.publish(
            parcel.topic,
            parcel.payload,
            qos=parcel.qos,
            local=self._local,
            retain=parcel.retain,
            then=partial(self._answered, self._epoch, parcel.token),
        )

    def _take(self, item: _Answered) -> None:
        self._since.pop(item.token, None)
        if item.answer is Answer.LOST:
            return  # the connection says so itself
        if not self._link:
            self._take_hello(item)
        elif item.answer is Answer.BUSY:
            self._refused(item)
        else:
            self._lanes.settle(item.token)
            verdict = _VERDICTS[item.answer]
            if verdict is Verdict.ACCEPTED:
                self._accepted += 1
                self._busy = 0
            self._notices.append(Acknowledged(item.token, verdict, item.words))

    def _take_hello(self, item: _Answered) -> None:
        if item.answer is Answer.DONE:
            self._link = True
            how = f"nucleus={self._limits.name} to={'local' if self._local else 'iot-core'}"
            self._notices.append(Connected(window=_WINDOW, retain=self._retains, how=how))
        elif item.answer is Answer.BUSY:
            self._notices.append(Disconnected(f"the nucleus takes nothing now, AWS IoT Core is away? ({item.words})"))
        else:
            reason = f"the nucleus refuses {self._hello}: {item.words}; check the recipe's accessControl"
            self._notices.append(Disconnected(reason, refused=True))

    def _refused(self, item: _Answered) -> None:
        parcel = self._lanes.again(item.token)
        if parcel is None:
            return
        if self._mono_s() < self._resume_at:
            return  # sent together with the one that has brought about this pause
        self._busy += 1
        if not parcel.tries:
            parcel.passed_by = self._accepted
        parcel.tries += 1
        if self._busy >= _AWAY_AFTER:
            self._notices.append(Disconnected(f"the nucleus takes nothing any more ({item.words})"))
            return
        if parcel.tries >= _POISON_TRIES and self._accepted - parcel.passed_by >= _POISON_PASSED:
            self._lanes.give_up(parcel)
            reason = f"{item.words} {parcel.tries} times, while others passed"
            self._notices.append(Acknowledged(parcel.token, Verdict.NEVER, reason))
            return
        pause_s = min(_MAX_PAUSE_S, _PAUSE_S * 2 ** (self._busy - 1))
        self._resume_at = self._mono_s() + pause_s
        log.debug("%s refused (%s): pausing for %g s", parcel.topic, item.words, pause_s)
        self._timer = threading.Timer(pause_s, self._wake)
        self._timer.daemon = True
        self._timer.start()

    def _answered(self, epoch: int, token: int, answer: Answer, words: str) -> None:
        self._heard.append(_Answered(epoch, token, answer, words))
        self._wake()

    def _hear(self, topic: str, payload: bytes) -> None:
        self._heard.append(Received(topic, payload, qos=1))
        self._wake()

    def _lost(self, reason: str) -> None:
        self._heard.append(_Lost(self._epoch, f"the connection to the nucleus is lost: {reason}"))
        self._wake()

    def _subscription_answered(self, wanted: str, connection: int, answer: Answer, words: str) -> None:
        if answer is Answer.DONE:
            return
        if answer is Answer.BUSY:
            self._unsubscribed(wanted, connection, words)
        elif answer is not Answer.LOST:
            log.error("commands on %s will not be heard: %s; check the recipe's accessControl", wanted, words)

    def _unsubscribed(self, wanted: str, connection: int, why: str) -> None:
        """Asks again with the next connection, which this loss brings about."""
        if self._subscribed.get(wanted) == connection:
            del self._subscribed[wanted]
            self._deaf[wanted] = self._mono_s(), why


_VERDICTS = {Answer.DONE: Verdict.ACCEPTED, Answer.DENIED: Verdict.DENIED, Answer.NEVER: Verdict.NEVER}

"""What the tests of the uplink have in common: a transport that does every wrong thing, and an uplink on a spool."""

import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path

from edge.clock import Clock
from edge.delivery.outbox import SpoolOutbox
from edge.delivery.uplink import Uplink
from edge.message import Importance, Message
from edge.spool import AgeClock, Bounds, Record, Spool
from edge.transports import Acknowledged, Connected, Verdict


class FakeTransport:
    """Answers connects from a script (the last answer for ever); acknowledges when told to, or at once."""

    def __init__(self, *answers, acknowledge=True):
        self.answers = list(answers) or [Connected()]
        self.acknowledge = acknowledge
        self.sent = []
        self.connects = []
        self.acknowledged = []
        self.most_under_way = 0
        self.under_way = set()
        self.fail_with = None
        self.verdicts = {}
        self._notices = []
        self._wake = lambda: None
        self._lock = threading.Lock()

    def connect(self, wake):
        self._wake = wake
        self.connects.append(time.monotonic())
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer is not None:
            self.say(answer)

    def say(self, notice):
        with self._lock:
            self._notices.append(notice)
        self._wake()

    def notices(self):
        with self._lock:
            notices, self._notices = self._notices, []
        return notices

    def subscribe(self, filters):
        self.filters = filters

    def confirm(self, message):
        self.acknowledged.append(message)

    def send(self, topic, payload, *, qos, retain, extras=None):  # noqa: ARG002 - the protocol's
        if self.fail_with is not None:
            error, self.fail_with = self.fail_with, None
            raise error
        token = len(self.sent)
        self.sent.append((topic, payload, qos, retain))
        if topic != "edge/n/status":
            self.under_way.add(token)
            self.most_under_way = max(self.most_under_way, len(self.under_way))
        if self.acknowledge or topic == "edge/n/status":
            self.answer(token)
        return token

    def answer(self, token):
        self.under_way.discard(token)
        self.say(Acknowledged(token, self.verdicts.get(self.sent[token][0], Verdict.ACCEPTED)))

    def disconnect(self):
        self.under_way.clear()
        with self._lock:
            self._notices.clear()

    def topics(self):
        return [topic for topic, *_ in self.sent]


class Outbox(SpoolOutbox):
    @property
    def depth(self):
        return self._spool.depth


@contextmanager
def running(transport, *, stop_s=1.0, **settings):
    with tempfile.TemporaryDirectory() as folder:
        spool = Spool(
            Path(folder) / "spool",
            bounds=Bounds(ballast_bytes=0, drain_per_s=1e6),
            clock=AgeClock(time.monotonic, time.time, lambda: True),
            mono_s=time.monotonic,
            receipt=lambda drop: Record("edge/n/gap", drop.reason.encode(), 3),
        )
        settings = {"min_wait_s": 0.01, "max_wait_s": 0.02, **settings}
        uplink = Uplink(transport, spool, status_topic="edge/n/status", clock=Clock(), **settings)
        spool.inbox.wake = uplink.wake
        uplink.start()
        try:
            yield uplink, Outbox(spool)
        finally:
            assert uplink.stop(stop_s)
            spool.close()


def event(n, importance=Importance.A, **more):
    return Message(f"edge/n/c/{n}", b'{"n":%d}' % n, importance, **more)


def until(condition, seconds=5):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)

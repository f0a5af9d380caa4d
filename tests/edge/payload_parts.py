"""What the tests of payloads have in common: a clock that stands, a node's payloads, an outbox, the published schemas."""

import json
from importlib.resources import files

import jsonschema

from edge.clock import Clock, ClockState, iso_utc
from edge.reporting.payloads import Payloads
from edge.sequence import new_id

T0 = 1_763_806_921_123_456_789
CLOCK = Clock(
    wall_ns=lambda: T0 + 10**10,
    mono_ns=lambda: 10**10,
    ask=lambda: ClockState(synced=True, source="kernel", error_ms=1.5),
)
MODEL = {"name": "m", "version": "1.0.0", "sha256": "a" * 64, "precision": "fp32", "provider": "CPUExecutionProvider"}


def payloads(labels=("person", "traffic light", "Traffic_Light", "car")):
    return Payloads("edge", "n1", new_id(T0), CLOCK, MODEL, labels)


class Kept:
    """An outbox, and what went into it."""

    def __init__(self):
        self.outbox = self
        self.messages = []
        self.refused = []

    def put(self, message):
        if message.last_value:
            self.messages = [m for m in self.messages if m.topic != message.topic]
        self.messages.append(message)

    def refuse(self, topic, body, reason, seq):
        self.refused.append((topic, body, reason, seq))

    def all(self):
        found = []
        while self.messages:
            message = self.messages.pop(0)
            body = json.loads(message.payload(sent_at=iso_utc(T0), replayed=False))
            found.append((message.topic.removeprefix("edge/n1/"), body, message))
        return found


def assert_valid(payload):
    schema = json.loads((files("edge") / "schemas" / f"{payload['schema'].replace('/', '-')}.json").read_text())
    jsonschema.validate(payload, schema)

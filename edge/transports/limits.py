"""What each kind of nucleus takes: how long a message may be, and how much may be under way to the cloud.

The lite nucleus's numbers were measured on its release 2.6: its IPC takes frames of 10000 bytes, and a frame beyond that
closes the connection with every subscription; a payload travels in it as base64 inside JSON.
"""

import json
from dataclasses import dataclass

__all__ = ["CLASSIC", "LITE", "NucleusLimits", "room_for"]

_HEADERS = 320  # of the event stream: prelude, CRC, five or six headers; at most 262 were seen


@dataclass(frozen=True, slots=True)
class NucleusLimits:
    """A payload's bytes, a frame's bytes, and the QoS 1 messages that may wait for the cloud's acknowledgement."""

    name: str
    payload_bytes: int
    frame_bytes: int
    records: int
    window_bytes: int
    retains: bool


LITE = NucleusLimits("lite", 7 * 1024, 10_000, 10, 15_000, retains=False)
CLASSIC = NucleusLimits("classic", 128 * 1024, 1 << 24, 5, 1 << 20, retains=True)


def room_for(topic: str, limits: NucleusLimits, *, local: bool) -> int:
    """How many bytes a payload on `topic` may have."""
    envelope = {"topicName": topic, "qos": "1", "retain": True, "payload": ""}
    if local:
        envelope = {"topic": topic, "publishMessage": {"binaryMessage": {"message": ""}}}
    base64 = limits.frame_bytes - _HEADERS - len(json.dumps(envelope))
    return min(limits.payload_bytes, base64 // 4 * 3)

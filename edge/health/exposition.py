"""The figures of `health` in Prometheus's text format (version 0.0.4)."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

__all__ = ["CONTENT_TYPE", "exposition"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_PREFIX = "gluon_edge_"
_FRAMES = ("frames", "inferred", "gated", "dropped", "repeated", "damaged", "restarts")
_MESSAGES = ("sent", "refused", "dead", "connects")
_QUANTILES = {"p50": "0.5", "p90": "0.9", "p99": "0.99"}

Samples = Sequence[tuple[dict[str, str], Any]]
"""Labels and a value each; None where there is none."""


def exposition(health: Mapping[str, Any]) -> str:
    """What a `health` payload says, a line a sample; what it does not say is left out."""
    lines = []
    for name, kind, text, samples in _families(health):
        found = [f"{_PREFIX}{name}{_labels(labels)} {value!r}" for labels, value in samples if value is not None]
        if found:
            lines += [f"# HELP {_PREFIX}{name} {text}", f"# TYPE {_PREFIX}{name} {kind}", *found]
    return "\n".join(lines) + "\n"


def _families(health: Mapping[str, Any]) -> Iterator[tuple[str, str, str, Samples]]:
    yield "uptime_seconds", "gauge", "Since the agent was started.", [({}, health.get("uptime_s"))]
    yield from _cameras(health.get("cameras") or {})
    for name, figures in (health.get("latency") or {}).items():
        quantiles: Samples = [({"quantile": q}, (figures or {}).get(p)) for p, q in _QUANTILES.items()]
        yield f"{name.removesuffix('_ms')}_milliseconds", "gauge", f"Percentiles of {name} lately.", quantiles
    failures: Samples = [({}, health.get("inference_failures"))]
    yield "inference_failures_total", "counter", "Frames that the model failed on.", failures
    yield from _messages(health.get("outbox") or {})
    board = health.get("board") or {}
    yield "temperature_celsius", "gauge", "The hottest thermal zone.", [({}, board.get("celsius"))]
    held: Samples = [({"by": what}, 1) for what in board.get("throttled", ())]
    yield "throttled", "gauge", "What the firmware holds back now.", held
    governed = int(health.get("given_up") is not None)
    yield "governed", "gauge", "Whether the governor gives something up.", [({}, governed)]


def _cameras(cameras: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str, str, Samples]]:
    online: Samples = [({"camera": c}, int(f["state"] == "online")) for c, f in cameras.items()]
    yield "camera_online", "gauge", "Whether a camera gives frames.", online
    rates: Samples = [({"camera": c}, f.get("fps")) for c, f in cameras.items()]
    yield "camera_fps", "gauge", "Frames a second that went through the model lately.", rates
    for what in _FRAMES:
        counted: Samples = [({"camera": c}, f.get(what)) for c, f in cameras.items()]
        yield f"camera_{what}_total", "counter", f"Of a camera: {what}.", counted


def _messages(outbox: Mapping[str, Any]) -> Iterator[tuple[str, str, str, Samples]]:
    connected: Samples = [({}, int(outbox["connected"]) if "connected" in outbox else None)]
    yield "connected", "gauge", "Whether the other side has accepted us.", connected
    for what in _MESSAGES:
        yield f"messages_{what}_total", "counter", f"Messages: {what}.", [({}, outbox.get(what))]
    yield "spool_messages", "gauge", "Messages that wait.", [({}, outbox.get("depth"))]
    yield "spool_bytes", "gauge", "The queue on the disk.", [({}, outbox.get("bytes"))]
    lost: Samples = [({"class": c}, n) for c, n in outbox.get("dropped", {}).items()]
    yield "messages_dropped_total", "counter", "Messages given up, by importance.", lost
    alarms: Samples = [({"alarm": name}, 1) for name in outbox.get("alarms", ())]
    yield "alarm", "gauge", "What is wrong now.", alarms


def _labels(labels: Mapping[str, str]) -> str:
    return "{" + ",".join(f'{k}="{_escaped(v)}"' for k, v in labels.items()) + "}" if labels else ""


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")

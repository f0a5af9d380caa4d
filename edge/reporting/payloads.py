"""Topics and payloads as docs/mqtt.md and edge/schemas/ promise them."""

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edge import __version__
from edge.clock import Clock, iso_utc
from edge.frame import Frame
from edge.inference.stages import Timing
from edge.scene.sighting import Change, Sighting
from edge.sequence import topic_name
from edge.updates.state import Update

__all__ = ["SCHEMAS", "Payloads", "board"]

SCHEMAS = (
    "ack/1.0",
    "command/1.0",
    "event/1.0",
    "frame/1.0",
    "gap/1.0",
    "health/1.0",
    "info/1.0",
    "state/1.0",
    "update/1.0",
)
_MAX_LABELS_TOLD = 300


@dataclass(frozen=True, slots=True)
class Payloads:
    """Who speaks, and about which model: what every payload has in common."""

    root: str
    node: str
    boot_id: str
    clock: Clock
    model: Mapping[str, Any]
    labels: Sequence[str]
    joints: Sequence[str] = ()

    def topic(self, *levels: str) -> str:
        """`<root>/<node>/<levels>`."""
        return "/".join((self.root, self.node, *levels))

    def count_topics(self) -> list[str]:
        """For each label the last level of its topic; labels that would share one get their number."""
        names = [topic_name(label) for label in self.labels]
        twice = {name for name in names if names.count(name) > 1} if len(set(names)) < len(names) else set()
        return [f"{name}-{i}" if name in twice else name for i, name in enumerate(names)]

    def event(self, change: Change, frame: Frame, timing: Timing, seq: int) -> dict[str, Any]:
        """`<camera>/event`."""
        best = change.best
        state = self.clock.state()
        return {
            "schema": "event/1.0",
            "id": change.id,
            "type": change.type,
            "seq": seq,
            "boot_id": self.boot_id,
            "node": self.node,
            "camera": frame.camera,
            "captured_at": iso_utc(frame.captured_ns),
            "mono_ns": frame.mono_ns,
            "clock": asdict(state),
            "model": dict(self.model),
            "frame": {"id": frame.id, "width": frame.width, "height": frame.height},
            "object": {
                "track_id": change.id if change.followed else None,
                **self._object(best),
                "top_score": round(change.top_score, 4),
                "area": None if best.area is None else round(best.area, 6),
                "count": change.count,
                "zones": list(change.zones),
                "entered_zones": list(change.entered),
                "stationary": change.stationary,
                "start": iso_utc(self.clock.wall_of(change.start_mono_ns)),
                "end": iso_utc(self.clock.wall_of(change.seen_mono_ns)) if change.type == "end" else None,
                **({"mask": best.outline()} if best.outline is not None else {}),
            },
            "timing": self._timing(frame, timing),
        }

    def frame(self, frame: Frame, sightings: Sequence[Sighting], timing: Timing) -> dict[str, Any]:
        """`<camera>/frame`."""
        return {
            "schema": "frame/1.0",
            "boot_id": self.boot_id,
            "node": self.node,
            "camera": frame.camera,
            "captured_at": iso_utc(frame.captured_ns),
            "mono_ns": frame.mono_ns,
            "frame": {"id": frame.id, "width": frame.width, "height": frame.height},
            "objects": [self._object(s) for s in sightings],
            "timing": self._timing(frame, timing),
        }

    def camera_state(self, camera: str, state: str, reason: str | None, step: str | None = None) -> dict[str, Any]:
        """`<camera>/state`."""
        return {
            "schema": "state/1.0",
            "boot_id": self.boot_id,
            "node": self.node,
            "camera": camera,
            "state": state,
            "reason": None if reason is None else reason[:500],
            "step": step,
            "since": iso_utc(self.clock.wall_ns()),
        }

    def info(self, *, runtime: Mapping[str, Any], cameras: Mapping[str, Any], started_ns: int) -> dict[str, Any]:
        """`info`: the birth of a node."""
        return {
            "schema": "info/1.0",
            "boot_id": self.boot_id,
            "node": self.node,
            "started_at": iso_utc(started_ns),
            "version": __version__,
            "schemas": list(SCHEMAS),
            "hardware": {"machine": platform.machine(), "model": board(), "cores": os.cpu_count() or 1},
            "runtime": {"python": platform.python_version(), **runtime},
            "cameras": dict(cameras),
            "model": dict(self.model),
            **self.labels_told(),
        }

    def labels_told(self) -> dict[str, Any]:
        """A model's labels as `info` has them: how many, and which with what topic unless there are very many; its joints."""
        named = [{"label": a, "topic": b} for a, b in zip(self.labels, self.count_topics(), strict=True)]
        joints = {"keypoints": list(self.joints)} if self.joints else {}
        return {"classes": len(self.labels), "labels": named if len(named) <= _MAX_LABELS_TOLD else None, **joints}

    def update(self, update: Update | None, percent: int | None) -> dict[str, Any]:
        """`update`: in the words of Home Assistant's update entity, and the phase."""
        under_way = update is not None and not update.over
        latest = update.version if update is not None and under_way and update.version else self.model["version"]
        return {
            "schema": "update/1.0",
            "boot_id": self.boot_id,
            "node": self.node,
            "id": None if update is None else update.request.id,
            "phase": None if update is None else update.phase,
            "reason": None if update is None else update.reason,
            "title": self.model["name"],
            "installed_version": self.model["version"],
            "latest_version": latest,
            "in_progress": under_way,
            "update_percentage": percent if under_way else None,
            "sha256": self.model["sha256"],
            "found": {} if update is None else update.found,
            "at": iso_utc(self.clock.wall_ns()),
        }

    def health(self, figures: Mapping[str, Any]) -> dict[str, Any]:
        """`health`."""
        head = {"schema": "health/1.0", "boot_id": self.boot_id, "node": self.node}
        return {**head, "at": iso_utc(self.clock.wall_ns()), "clock": asdict(self.clock.state()), **figures}

    def _object(self, sighting: Sighting) -> dict[str, Any]:
        return {
            "label": self.labels[sighting.label_id],
            "label_id": sighting.label_id,
            "score": round(sighting.score, 4),
            "box": None if sighting.box is None else [round(v, 5) for v in sighting.box],
            **({"keypoints": _rounded(sighting.keypoints)} if sighting.keypoints is not None else {}),
        }

    def _timing(self, frame: Frame, timing: Timing) -> dict[str, float]:
        return {
            "age_ms": round((self.clock.mono_ns() - frame.mono_ns) / 1e6, 3),
            "pre_ms": round(timing.pre_ms, 3),
            "infer_ms": round(timing.infer_ms, 3),
            "post_ms": round(timing.post_ms, 3),
        }


def _rounded(joints: Sequence[tuple[float, float, float]]) -> list[list[float]]:
    return [[round(x, 5), round(y, 5), round(score, 4)] for x, y, score in joints]


def board() -> str | None:
    """`Raspberry Pi 5 Model B Rev 1.0`, where the firmware tells."""
    try:
        return Path("/proc/device-tree/model").read_text().strip("\x00\n ")[:200] or None
    except (OSError, UnicodeDecodeError):
        return None

"""The node's own figures: counters, rates, percentiles."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

__all__ = ["Health", "percentiles"]

_KEPT = 2048
_NOTHING: Mapping[str, Any] = MappingProxyType({})


def percentiles(values: Iterable[float]) -> dict[str, float] | None:
    """Median, 90th and 99th percentile and the most, by the nearest rank; None of nothing."""
    ranked = sorted(values)
    if not ranked:
        return None
    n = len(ranked)
    found = {f"p{p}": round(ranked[min(n - 1, -(-n * p // 100) - 1)], 3) for p in (50, 90, 99)}
    return {**found, "max": round(ranked[-1], 3)}


class _Recent:
    """A frame's figures each, the newest since they were last asked for, at most `_KEPT` of them."""

    def __init__(self) -> None:
        self._values: list[tuple[float, ...]] = []
        self._at = 0

    def add(self, value: tuple[float, ...]) -> None:
        if len(self._values) < _KEPT:
            self._values.append(value)
        else:
            self._values[self._at] = value
            self._at = (self._at + 1) % _KEPT

    def flush(self) -> list[tuple[float, ...]]:
        values, self._values, self._at = self._values, [], 0
        return values


class Health:
    """Counts what happens; any thread may tell it."""

    def __init__(self, cameras: Iterable[str], *, mono: Callable[[], float] = time.monotonic) -> None:
        self._mono = mono
        self._lock = threading.Lock()
        self._started = self._flushed = mono()
        self._read = dict.fromkeys(cameras, 0)
        self._used = dict.fromkeys(self._read, 0)
        self._used_before = dict(self._used)
        self._gated = dict.fromkeys(self._read, 0)
        self._states: dict[str, str] = dict.fromkeys(self._read, "offline")
        self._failures = 0
        self._moved = self._started
        self._recent = _Recent()

    def frame_read(self, camera: str) -> None:
        """A camera gave a frame."""
        with self._lock:
            self._read[camera] += 1

    def frame_used(self, camera: str, *, age_ms: float, pre_ms: float, infer_ms: float, post_ms: float) -> None:
        """A frame went through the model; `age_ms` from its capture until its messages were accepted."""
        with self._lock:
            self._used[camera] += 1
            self._moved = self._mono()
            self._recent.add((age_ms, pre_ms, infer_ms, post_ms))

    def frame_gated(self, camera: str) -> None:
        """A frame was spared the model, because nothing moved in it."""
        with self._lock:
            self._gated[camera] += 1
            self._moved = self._mono()

    def idle_s(self) -> float:
        """How long no frame has gone all the way."""
        with self._lock:
            return self._mono() - self._moved

    def inference_failed(self) -> None:
        """The model failed on a frame."""
        with self._lock:
            self._failures += 1

    def failed(self) -> int:
        """How often the model has failed on a frame."""
        with self._lock:
            return self._failures

    def camera_state(self, camera: str, state: str) -> None:
        """A camera went online or offline."""
        with self._lock:
            self._states[camera] = state

    def online(self) -> list[str]:
        """The cameras that are online."""
        with self._lock:
            return [name for name, state in self._states.items() if state == "online"]

    def figures(self, counts: Mapping[str, Mapping[str, int]] = _NOTHING) -> dict[str, Any]:
        """The payload's part that is known here; rates and percentiles since it was last asked for.

        `counts` are what others know of each camera: frames that its slot dropped, and what `Source.refused` says.
        """
        with self._lock:
            now = self._mono()
            seconds, self._flushed = max(1e-9, now - self._flushed), now
            cameras = {
                name: {
                    "state": self._states[name],
                    "frames": self._read[name],
                    "inferred": self._used[name],
                    "gated": self._gated[name],
                    "dropped": 0,
                    **counts.get(name, _NOTHING),
                    "fps": round((self._used[name] - self._used_before[name]) / seconds, 2),
                }
                for name in self._read
            }
            fps = (sum(self._used.values()) - sum(self._used_before.values())) / seconds
            self._used_before = dict(self._used)
            columns = zip(*self._recent.flush(), strict=True)
            recent = {name: percentiles(next(columns, ())) for name in ("age_ms", "pre_ms", "infer_ms", "post_ms")}
            return {
                "uptime_s": round(now - self._started, 1),
                "fps": round(fps, 2),
                "latency": recent,
                "cameras": cameras,
                "inference_failures": self._failures,
            }

"""Trades what can be spared for a temperature or a latency that is not to be exceeded, and says what it gave up.

Above a limit it takes one step a look: first the motion gate for every camera, then fewer frames, each time three quarters
of what there was. Well below every limit it gives back, in the other order, until nothing is given up; in between it stays.
What had to be taken again after it was given back is given back later the next time. The rates that it cuts are those that were really had, so a cap always bites, and a cap that no longer does is taken away:
it cannot pin a node at a low rate.
"""

import logging
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from edge.cameras.motion import MotionGate
from edge.cameras.pace import Cap
from edge.config import GovernorConfig, MotionConfig
from edge.frame import Image
from edge.health.board import Heat

__all__ = ["Governor", "Throttle"]

log = logging.getLogger(__name__)

_LESS = 0.75
_COOL_C = 5.0  # so far below its limit a temperature must be before anything is given back
_QUICK = 0.7  # and this share of its limit a latency
_LONGEST = 32  # looks that all must be well before anything is given back, after it had to be taken again and again


class Throttle:
    """One camera's: what stands between its frames and the model. `gate` is its own motion gate, where it has one."""

    def __init__(self, gate: MotionGate | None = None) -> None:
        self._own = gate
        self._forced: MotionGate | None = None
        self._cap: Cap | None = None

    def passes(self, image: Image, mono_ns: int) -> bool:
        """Whether a frame, uint8 [H, W, 3] taken at `mono_ns`, goes to the model. On the model's thread."""
        cap, forced = self._cap, self._forced
        if cap is not None and not cap.passes(mono_ns):
            return False
        gates = [g for g in (self._own, forced) if g is not None]
        return all([g.passes(image, mono_ns) for g in gates])  # noqa: C419 - each learns from every frame

    def forget(self) -> None:
        """The camera was away."""
        for gate in (self._own, self._forced):
            if gate is not None:
                gate.forget()

    def force(self, *, gate: bool, fps: float | None) -> None:
        """Has a motion gate or not, and lets at most `fps` frames a second pass. Any thread may."""
        self._forced = (self._forced or MotionGate(MotionConfig())) if gate and self._own is None else None
        self._cap = None if fps is None else Cap(fps)


class Governor:
    """Looks at heat and latency, and sets the throttles. One thread calls `look`; any may ask `given_up`."""

    def __init__(self, config: GovernorConfig, throttles: Mapping[str, Throttle]) -> None:
        self._config = config
        self._throttles = throttles
        self._lock = threading.Lock()
        self._gate = False
        self._fps: dict[str, float] = {}
        self._why = ""
        self._patience, self._well = 1, 0
        self._gave_back = False
        self._celsius: float | None = None

    def look(self, heat: Heat, *, age_ms: float | None, fps: Mapping[str, float]) -> None:
        """Once a period: the board's heat, the 90th percentile of the frames' age, and the cameras' rates since then."""
        late, hot = self._late(age_ms), self._hot(heat)
        over = late or hot
        # A board has its inertia: while what was given up last still cools it, no more is given up.
        cooling, self._celsius = _is_below(heat.celsius, self._celsius), heat.celsius
        with self._lock:
            before = self._gate, dict(self._fps)
            if late is None and cooling and (self._gate or self._fps) and hot is not None:
                return
            if over is not None:
                self._why = over
                self._patience = min(_LONGEST, 2 * self._patience) if self._gave_back else self._patience
                self._well, self._gave_back = 0, False
                self._give_up(fps)
            elif self._well_below(heat, age_ms):
                self._well += 1
                if self._well >= (self._patience if self._gate or self._fps else _LONGEST):
                    self._back_to_normal(fps)
            if (self._gate, self._fps) == before:
                return
            for camera, throttle in self._throttles.items():
                throttle.force(gate=self._gate, fps=self._fps.get(camera))
        gone = self.given_up()
        if over is not None:
            log.warning("governor: %s: gives up %s", over, gone)
        else:
            log.info("governor: %s", f"still gives up {gone}" if gone else "gives up nothing any more")

    def given_up(self) -> dict[str, Any] | None:
        """What is given up now and why, as `health` has it; None for nothing."""
        with self._lock:
            if not (self._gate or self._fps):
                return None
            fps = {camera: round(rate, 2) for camera, rate in self._fps.items()}
            return {"because": self._why, "gate": self._gate, "fps": fps}

    def _hot(self, heat: Heat) -> str | None:
        limit = self._config.temperature_c
        if limit is None or heat.celsius is None or heat.celsius <= limit:
            return None
        return f"{heat.celsius:.1f} C, over governor.temperature_c = {limit:g}"

    def _late(self, age_ms: float | None) -> str | None:
        limit = self._config.latency_ms
        if limit is None or age_ms is None or age_ms <= limit:
            return None
        return f"{age_ms:.0f} ms from capture to message, over governor.latency_ms = {limit:g}"

    def _well_below(self, heat: Heat, age_ms: float | None) -> bool:
        config = self._config
        cool = config.temperature_c is None or heat.celsius is None or heat.celsius < config.temperature_c - _COOL_C
        return cool and (config.latency_ms is None or age_ms is None or age_ms < _QUICK * config.latency_ms)

    def _give_up(self, fps: Mapping[str, float]) -> None:
        gives: Sequence[Literal["gate", "fps"]] = self._config.gives
        if "gate" in gives and not self._gate:
            self._gate = True
        elif "fps" in gives:
            for camera in self._throttles:
                had = min(fps.get(camera, 0.0), self._fps.get(camera, float("inf")))
                if had > 0:
                    self._fps[camera] = max(self._config.least_fps, _LESS * had)

    def _back_to_normal(self, fps: Mapping[str, float]) -> None:
        """All was well for long enough: a step back, or when there is none left, what came before is forgotten."""
        self._well = 0
        if self._gate or self._fps:
            self._gave_back = True
            self._give_back(fps)
        else:
            self._patience, self._gave_back = 1, False

    def _give_back(self, fps: Mapping[str, float]) -> None:
        if not self._fps:
            self._gate = False
        for camera, cap in list(self._fps.items()):
            if fps.get(camera, 0.0) < _LESS * cap:
                del self._fps[camera]  # it is not the cap that holds this camera back
            else:
                self._fps[camera] = cap / _LESS


def _is_below(celsius: float | None, before: float | None) -> bool:
    return celsius is not None and before is not None and celsius < before

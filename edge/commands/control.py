"""What a node does when it is told to: looking on and off, thresholds, cameras opened anew, a new configuration."""

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from edge.cameras.motion import MotionGate
from edge.cameras.reader import CameraReader
from edge.commands.desk import Done
from edge.errors import CameraError, PermanentError
from edge.reporting.snapshots import Snapshots

__all__ = ["Control"]


class Control:
    """The verbs of commands and the switches; `attach` gives it what it moves, once that is built."""

    def __init__(
        self,
        cameras: Sequence[str],
        reload: Callable[[], None] | None = None,
        gates: Mapping[str, MotionGate] | None = None,
        snapshots: Snapshots | None = None,
    ) -> None:
        self._lock = threading.Lock()
        self._detect = dict.fromkeys(cameras, True)
        self._reload = reload
        self._gates = gates or {}
        self._snapshots = snapshots
        self._move_threshold: Callable[[float], None] | None = None
        self._threshold: float | None = None
        self._readers: dict[str, CameraReader] = {}

    def attach(self, move_threshold: Callable[[float], None], readers: Sequence[CameraReader]) -> None:
        """What it moves: the least score, and the cameras."""
        self._move_threshold = move_threshold
        self._readers = {r.name: r for r in readers}
        if self._threshold is not None:
            self.set_threshold(self._threshold)

    @property
    def commanded(self) -> bool:
        """Whether the threshold is one that was commanded, which goes before the configuration's."""
        return self._threshold is not None

    def set_threshold(self, value: float) -> None:
        """The least score from the next frame on. Any thread may."""
        if self._move_threshold is not None:
            self._move_threshold(value)

    def looks(self, camera: str) -> bool:
        """Whether a camera's frames are to be used."""
        return self._detect[camera]

    def verbs(self) -> Mapping[str, Callable[[dict[str, Any]], Done]]:
        """What can be done here, by the command's name."""
        found: dict[str, Callable[[dict[str, Any]], Done]] = {
            "detect": self._set_detect,
            "threshold": self._set_threshold,
            "restart_camera": self._restart_camera,
        }
        if self._snapshots is not None:
            found["snapshot"] = self._take_snapshot
        if self._reload is not None:
            found["reload"] = self._load_anew
        return found

    def state(self) -> dict[str, Any]:
        """What is set now: the threshold, None for the model's own, and which cameras are looked at."""
        with self._lock:
            return {"threshold": self._threshold, "detect": dict(self._detect)}

    def switches(self) -> dict[tuple[str, str], Callable[[bool], None]]:
        """What can be switched, by camera and name."""
        detect = {(c, "detect"): lambda on, c=c: self._switch(c, on=on) for c in self._detect}
        motion = {(c, "motion"): lambda on, gate=gate: gate.switch(on=on) for c, gate in self._gates.items()}
        if self._snapshots is None:
            return {**detect, **motion}
        switch = self._snapshots.switch
        return {**detect, **motion, **{(c, "snapshots"): partial(switch, c) for c in self._detect}}

    def restore(self, threshold: Any) -> None:
        """A threshold that an earlier run was told."""
        if isinstance(threshold, float) and 0 <= threshold <= 1:
            self._threshold = threshold
            self.set_threshold(threshold)

    def _switch(self, camera: str, *, on: bool) -> None:
        with self._lock:
            self._detect[camera] = on

    def _set_detect(self, args: dict[str, Any]) -> Done:
        camera = args.get("camera")
        if camera is not None and camera not in self._detect:
            raise CameraError(f"no camera is named {camera}")
        names = [camera] if camera is not None else list(self._detect)
        for name in names:
            self._switch(name, on=args["on"])
        return {"cameras": names}, {f"switch:{name}/detect": args["on"] for name in names}

    def _set_threshold(self, args: dict[str, Any]) -> Done:
        if self._move_threshold is None:
            raise PermanentError("nothing looks yet")
        value = self._threshold = float(args["value"])
        self.set_threshold(value)
        return {"value": value}, {"threshold": value}

    def _restart_camera(self, args: dict[str, Any]) -> Done:
        reader = self._readers.get(args["camera"])
        if reader is None:
            raise CameraError(f"no camera is named {args['camera']}")
        if not reader.on:
            raise CameraError(f"{reader.name} is switched off in the configuration")
        reader.restart()
        return {"camera": reader.name}, {}

    def _take_snapshot(self, args: dict[str, Any]) -> Done:
        assert self._snapshots is not None  # noqa: S101 - else the verb is not there
        return {"camera": args["camera"], "bytes": self._snapshots.take(args["camera"])}, {}

    def _load_anew(self, _args: dict[str, Any]) -> Done:
        assert self._reload is not None  # noqa: S101 - else the verb is not there
        self._reload()
        return {}, {}

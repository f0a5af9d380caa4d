"""Every camera of the configuration with its slot, its motion gate and its reader; changed while the others go on."""

from collections.abc import Mapping

from edge.cameras import Settings
from edge.cameras.camera import LIVE
from edge.cameras.lastresort import LastResort
from edge.cameras.latest import Latest
from edge.cameras.motion import MotionGate
from edge.cameras.privacy import Masked
from edge.cameras.reader import CameraReader, Source, Watcher
from edge.cameras.source import source_for
from edge.clock import Clock
from edge.config import CameraConfig, Config
from edge.config.reload import Plan

__all__ = ["CameraSet", "gates_of"]


def gates_of(config: Config) -> dict[str, MotionGate]:
    """A gate for each camera that has a `motion` table, open while that says so."""
    return {name: MotionGate(c.motion) for name, c in config.cameras.items() if c.motion is not None}


class CameraSet:
    """Cameras that one model looks at, those switched off as well: their readers rest until they are switched on."""

    def __init__(
        self,
        config: Config,
        cameras: Mapping[str, CameraConfig],
        gates: Mapping[str, MotionGate],
        watcher: Watcher,
        clock: Clock,
    ) -> None:
        self._config = config
        self._cameras = dict(cameras)
        self._gates = gates
        self.slots = Latest(
            list(cameras),
            lossless=frozenset(name for name, c in cameras.items() if c.pace == "fast"),
            resting=frozenset(name for name, c in cameras.items() if not c.enabled),
        )
        self._ahead = bool(cameras) and self.slots.all_lossless
        self.readers = [self._reader(name, camera, watcher, clock) for name, camera in cameras.items()]

    @property
    def rarest_s(self) -> float:
        """How long the cameras that are on may all give no frame, by their rates and their time-outs."""
        return max((_rarest_s(c) for c in self._cameras.values() if c.enabled), default=0.0)

    def can_change(self, config: Config, todo: Plan) -> bool:
        """Whether what is asked can be done to cameras that run.

        A file that has ended has no reader any more, and where every frame of every camera counts, frames are prepared
        in a way that only such cameras can be read.
        """
        touched = (todo.switched | todo.paced) & self._cameras.keys()
        known = [c for name in touched for c in (self._cameras[name], config.cameras[name])]
        return not known or not (self._ahead or any(camera.finite for camera in known))

    def adopt(self, config: Config) -> None:
        """Other gates' settings; between two frames."""
        self._cameras = {name: config.cameras[name] for name in self._cameras}
        for name, gate in self._gates.items():
            motion = self._cameras[name].motion
            if motion is not None:
                gate.change(motion)

    def change(self, todo: Plan) -> None:
        """Opens anew what is read in another way, and switches cameras on and off."""
        for reader in self.readers:
            camera = self._cameras[reader.name]
            if reader.name in todo.cameras:
                reader.change(*_source(camera))
            if reader.name in todo.switched:
                reader.switch(on=camera.enabled)

    def _reader(self, name: str, camera: CameraConfig, watcher: Watcher, clock: Clock) -> CameraReader:
        settings, source = _source(camera)
        last = None
        if camera.recovery_command:
            record = self._config.state_folder / f"recovery-{name}.json"
            after_s, per_day = camera.recovery_after_s, camera.recovery_per_day
            last = LastResort(camera.recovery_command, after_s=after_s, per_day=per_day, record=record)
        return CameraReader(name, settings, source, self.slots, watcher, clock, last, on=camera.enabled)


def _source(camera: CameraConfig) -> tuple[Settings, Source]:
    settings = Settings.of({**camera.model_dump(mode="json"), "kind": camera.inferred_kind})
    source = source_for(settings)
    return settings, Masked(source, camera.privacy) if camera.privacy else source


def _rarest_s(camera: CameraConfig) -> float:
    """How long a camera that is online may give no frame: by its rate, or because it is not yet known to be away."""
    live = max(camera.read_timeout_s, camera.frozen_s) if camera.inferred_kind in LIVE else 0.0
    return max(live, 1 / camera.fps if camera.fps else 0.0)

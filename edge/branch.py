"""A session and the cameras that it looks at: the part of an agent that there may be several of, side by side.

One branch looks at every camera without a model of its own; each camera with one (`[cameras.NAME.model]`) is a branch too.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from edge.aws.ml import AwsMl
from edge.cameras.cameraset import CameraSet
from edge.cameras.motion import MotionGate, Passing
from edge.cameras.reader import Watcher
from edge.commands.control import Control
from edge.config import CameraConfig, Config
from edge.config.reload import Plan
from edge.delivery.delivery import Delivery
from edge.health.health import Health
from edge.health.liveness import Liveness
from edge.inference.stages import Stage
from edge.pipeline import Pipeline, Sink
from edge.reporting.events import Events
from edge.reporting.payloads import Payloads
from edge.reporting.snapshots import Snapshots
from edge.scene.sighting import told_labels
from edge.scene.view import views_of

__all__ = ["Branch", "Ends", "Shared", "told_of"]


@dataclass(frozen=True, slots=True)
class Shared:
    """What the branches of an agent have in common."""

    delivery: Delivery
    health: Health
    control: Control
    gates: Mapping[str, MotionGate]
    passing: Mapping[str, Passing]
    snapshots: Snapshots | None
    watcher: Watcher
    turn: threading.Lock = field(default_factory=threading.Lock)


class Branch:
    """Cameras, the model that looks at them, and the events that are told of it. `payloads` are those of another branch.

    `on_end` is called once, as `Pipeline` says; `name` is that of the model's thread.
    """

    def __init__(
        self,
        config: Config,
        cameras: Mapping[str, CameraConfig],
        stage: Stage,
        payloads: Payloads,
        shared: Shared,
        on_end: Callable[[str | None], None],
        *,
        name: str = "inference",
    ) -> None:
        self._config = config
        self._shared = shared
        self.cameras = tuple(cameras)
        snapshots, clock = shared.snapshots, payloads.clock
        gates = {n: gate for n, gate in shared.gates.items() if n in cameras}
        self._set = CameraSet(config, cameras, gates, shared.watcher, clock)
        self.slots, self.readers = self._set.slots, self._set.readers
        self.liveness = Liveness(self._online, rarest_s=self._set.rarest_s)
        self._look_with(stage, payloads)
        self.pipeline = Pipeline(
            self.readers,
            self.slots,
            stage,
            self._sink(),
            shared.health,
            clock,
            on_end,
            looks=shared.control.looks,
            passed=snapshots.passed if snapshots is not None else lambda _frame: None,
            gates={n: gate for n, gate in shared.passing.items() if n in cameras},
            liveness=self.liveness,
            name=name,
        )

    def use(self, stage: Stage) -> None:
        """Another model from the next frame on; what was in view has left under the old one. On the model's thread."""
        self.events.close()
        self._look_with(stage, self.payloads)
        self.pipeline.use(stage, self._sink())
        self.events.open()

    def can_change(self, config: Config, todo: Plan) -> bool:
        """Whether what is asked of its cameras can be done while they run."""
        return self._set.can_change(config, todo)

    def change(self, config: Config) -> None:
        """Other settings from the next frame on; what is in view stays in view. On the model's thread."""
        self._config = config
        self.events.change(**config.events.model_dump(exclude={"follow"}))
        self._set.adopt(config)
        self.liveness.expect(self._set.rarest_s)

    def reopen(self, todo: Plan) -> None:
        """Opens anew what is read in another way, and switches cameras on and off, once `change` was done."""
        self._set.change(todo)

    def introduced(self) -> dict[str, Any]:
        """The model as `info` names that of one camera: who it is, its labels, and which providers it does without."""
        return {**self.payloads.model, **self.payloads.labels_told(), "fell_away": dict(self.stage.session.fell_away)}

    def set_threshold(self, value: float) -> None:
        """The least score from the next frame on. Any thread may."""
        self.stage.threshold = value
        self.events.set_threshold(value)

    def _online(self) -> list[str]:
        return [camera for camera in self._shared.health.online() if camera in self.cameras]

    def _look_with(self, stage: Stage, payloads: Payloads) -> None:
        self.stage = stage
        self.payloads = replace(payloads, **told_of(stage))
        shared, ev = self._shared, self._config.events
        self.events = Events(
            self.payloads,
            shared.delivery.outbox,
            views_of(self._config, self.cameras, stage.bundle),
            shared.delivery.sequence.next,
            threshold=stage.threshold,
            labels=ev.labels,
            counts=ev.counts,
            frames_per_s=ev.frames_per_s,
            turn=shared.turn,
            picture=shared.snapshots.changed if shared.snapshots is not None else None,
        )

    def _sink(self) -> Sink:
        """Where results go: the events, and in AWS's words where they are asked for."""
        config, events, stage = self._config, self.events, self.stage
        if config.payload == "native":
            return events
        return AwsMl(
            stage.bundle,
            self._shared.delivery.outbox,
            config.aws_ml,
            self.payloads.clock,
            threshold=lambda: stage.threshold,
            seen=events.seen,
            gone=events.gone,
        )


class Ends:
    """The ends of `count` branches told as one: when the last of them has no more frames, or one cannot go on."""

    def __init__(self, on_end: Callable[[str | None], None], count: int) -> None:
        self._on_end = on_end
        self._left = count
        self._lock = threading.Lock()

    def one(self, reason: str | None) -> None:
        """A branch has ended. Any thread may tell."""
        with self._lock:
            self._left -= 1
            last = self._left == 0
        if last or reason is not None:
            self._on_end(reason)


def told_of(stage: Stage) -> dict[str, Any]:
    """The model as every payload names it, and the names behind its numbers: what `Payloads` know of it."""
    bundle = stage.bundle
    return {
        "model": {
            "name": bundle.manifest.name,
            "version": bundle.manifest.version,
            "sha256": bundle.digest,
            "precision": bundle.manifest.precision,
            "provider": stage.session.provider,
        },
        "labels": told_labels(bundle),
        "joints": bundle.labels if bundle.manifest.task == "pose" else (),
    }

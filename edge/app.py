"""The composition root: builds the agent from its configuration, starts it, and stops it in order."""

from collections.abc import Callable, Sequence
from typing import Any

import cv2
from pydantic import ValidationError

from edge.aws.hearing import Hearings
from edge.aws.management import aws_services
from edge.branch import Branch, Ends, Shared, told_of
from edge.branches import Branches
from edge.cameras.cameraset import gates_of
from edge.clock import Clock
from edge.commands.control import Control
from edge.commands.desk import Done
from edge.commands.setup import desk_of, is_at_home
from edge.config import CameraConfig, Config
from edge.config.reload import plan
from edge.delivery.delivery import Delivery
from edge.delivery.ear import Hearing, NobodyHears
from edge.errors import ConfigError
from edge.health.health import Health
from edge.health.vitals import Vitals
from edge.homeassistant.introduction import introduction
from edge.inference.stages import Stage
from edge.message import Message
from edge.modelhost import ModelHost, first_stage, own_stage
from edge.reporting.payloads import Payloads
from edge.reporting.report import Report
from edge.reporting.snapshots import Snapshots
from edge.sequence import new_id
from edge.shutdown import Deadline, stop_in_order
from edge.transports.nucleus import Nucleus
from edge.updates.configured import models_of, updater_of
from edge.updates.state import Request, Update

__all__ = ["Agent"]

_STOPPED_WITHIN_S = 4.0
_CAMERAS_STOP_S = 3.0
_DESK_STOP_S = 1.0
_UPDATES_STOP_S = 1.0
DRAIN_S = 2.0


class Agent:
    """Everything that runs on a node, built and wired; `start` and `stop` once each.

    Raises:
        EdgeError: when the bundle, the runtime, a secret or the state folder cannot be used.
    """

    def __init__(
        self,
        config: Config,
        *,
        on_end: Callable[[str | None], None],
        clock: Clock | None = None,
        reload: Callable[[], None] | None = None,
        changed: Sequence[str] = (),
        nucleus: Nucleus | None = None,
    ) -> None:
        self._config = config
        # OpenCV's pool spins for its next bit of work, on cores that the model and other cameras could use.
        cv2.setNumThreads(1)
        self._changed = changed
        self._nucleus = nucleus
        self._models = models_of(config)
        if not self._models.own():
            raise ConfigError(
                f"another agent runs as node {config.mqtt.node!r}, or its model is being updated "
                f"(its lock is in {self._models.folder}); stop it first, or wait"
            )
        try:
            self._build(config, on_end, clock or Clock(), reload)
        except BaseException:
            self._models.release()
            raise

    def _build(
        self, config: Config, on_end: Callable[[str | None], None], clock: Clock, reload: Callable[[], None] | None
    ) -> None:
        mqtt = config.mqtt
        stage = first_stage(config, self._models)
        cameras = config.cameras
        together = {n: c for n, c in cameras.items() if c.model is None}
        own = {n: (c, own_stage(config, n, c.model)) for n, c in cameras.items() if c.model is not None and c.enabled}
        boot_id = new_id(clock.wall_ns())
        self._payloads = payloads = Payloads(mqtt.root, mqtt.node, boot_id, clock, **told_of(stage))
        self._topic = payloads.topic
        gates = gates_of(config)
        self._snapshots = self._build_snapshots([*together, *own])
        self._control = control = Control([*together, *own], reload, gates, self._snapshots)
        update = {"update": self._update_by_command} if config.updates.enabled else {}
        self._desk = desk_of(config, payloads, control, update, self._introduce)
        self._delivery = delivery = Delivery(
            config, boot_id=boot_id, clock=clock, hearing=self._hearing(), nucleus=self._nucleus
        )
        self._health = health = Health(config.cameras)
        self._report = Report(payloads, delivery.outbox, health)
        self._vitals = Vitals(config, health, gates)
        shared = Shared(delivery, health, control, gates, self._vitals.gates, self._snapshots, self._report)
        ends = Ends(on_end, len(own) + any(c.enabled for c in together.values()))

        def branch(cameras: dict[str, CameraConfig], stage: Stage, **named: str) -> Branch:
            return Branch(config, cameras, stage, payloads, shared, ends.one, **named)

        self._branch = branch(together, stage)
        alone = {n: branch({n: c}, own_stage, name=f"inference-{n}") for n, (c, own_stage) in own.items()}
        self._branches = Branches(self._branch, alone)
        self._branches.tell_of_the_models(config.events.labels)
        control.attach(self._branches.set_threshold, self._branches.readers)
        host = ModelHost(config, stage, self._branch.pipeline, health, self._take_over)
        self._updater = updater_of(config, self._models, host, self._update_changed)

    def change(self, config: Config, changed: Sequence[str]) -> bool:
        """Goes on with another configuration, where nothing has to be built anew for it; False when it does.

        No frame is lost, what is in view stays in view, and only cameras that are read differently are opened again.
        """
        todo = plan(changed)
        if not todo.live or any(config.cameras[name].model is not None for name in todo.switched):
            return False
        return self._branches.change(config, todo, also=lambda: self._adopt(config, changed))

    def _adopt(self, config: Config, changed: Sequence[str]) -> None:
        """On the inference thread."""
        self._config, self._changed = config, changed
        if self._snapshots is not None:
            self._snapshots.change(**config.snapshots.model_dump(exclude={"enabled"}))
        if "model.threshold" in changed and not self._control.commanded:
            score = self._branch.stage.bundle.manifest.thresholds.score
            self._branch.set_threshold(score if config.model.threshold is None else config.model.threshold)
        self._introduce_ourselves()
        if self._desk is not None and is_at_home(self._config):
            self._introduce()

    def start(self) -> None:
        """Starts every thread."""
        config = self._config
        self._introduce_ourselves()
        for name, camera in config.cameras.items():
            if not camera.enabled and camera.model is not None:
                self._report.state_changed(name, "disabled", "switched off in the configuration")
        for branch in self._branches:
            branch.events.open()
        if self._desk is not None:
            self._desk.open(self._delivery.spool, self._delivery.uplink.wake)
            self._control.restore(self._desk.saved("threshold"))
        self._delivery.start()
        if self._snapshots is not None:
            self._snapshots.start()
        for branch in self._branches:
            branch.pipeline.start()
        if config.updates.enabled:
            self._updater.start()
        self.publish_health()
        self._vitals.start()

    def _introduce_ourselves(self) -> None:
        cameras: dict[str, dict[str, Any]] = {
            name: {"kind": c.inferred_kind, "enabled": c.enabled, **({"zones": list(c.zones)} if c.zones else {})}
            for name, c in self._config.cameras.items()
        }
        for name, branch in self._branches.own.items():
            cameras[name]["model"] = branch.introduced()
        runtime = {"provider": self._provider, "fell_away": self._fell_away}
        self._report.born(runtime=runtime, cameras=cameras, changed=self._changed)
        self._report.update(self._updater.current, None)

    @property
    def _provider(self) -> str:
        return self._branch.stage.session.provider

    @property
    def _fell_away(self) -> dict[str, str]:
        return self._branch.stage.session.fell_away

    def _build_snapshots(self, cameras: Sequence[str]) -> Snapshots | None:
        """None unless configured: then no picture can leave the node."""
        s = self._config.snapshots
        if not s.enabled:
            return None
        return Snapshots(
            cameras, self._put, self._topic, on=s.on, max_bytes=s.max_bytes, every_s=s.every_s, retain=s.retain
        )

    def _take_over(self, stage: Stage) -> None:
        """Another model for every camera without one of its own, from the next frame on. On the inference thread."""
        self._branch.use(stage)
        self._payloads = self._branch.payloads
        self._report.use(self._payloads)
        self._branches.tell_of_the_models(self._config.events.labels)
        self._control.attach(self._branches.set_threshold, self._branches.readers)
        self._introduce_ourselves()
        if self._desk is not None and is_at_home(self._config):
            self._introduce()

    def _update_changed(self, update: Update) -> None:
        self._report.update(update, self._updater.percent)

    def _update_by_command(self, args: dict[str, Any]) -> Done:
        try:
            request = Request(id=new_id(self._payloads.clock.wall_ns()), url=args["url"], sha256=args["sha256"])
        except ValidationError:
            raise ConfigError("url: https:// or file:// it must be") from None
        return {"update": self._updater.request(request).request.id}, {}

    def _hearing(self) -> Hearing | None:
        desk = self._desk
        services = aws_services(
            self._config,
            say=lambda topic, payload: self._delivery.uplink.say(topic, payload),  # noqa: PLW0108 - it comes later
            control=self._control,
            updater=lambda: self._updater,
            model=lambda: self._payloads.model,
            keep=desk.keep if desk is not None else lambda _settings: None,
        )
        if services is None or self._config.transport not in {"mqtt", "greengrass"}:
            return desk
        return Hearings(desk or NobodyHears(), services)

    def _introduce(self) -> None:
        """Tells Home Assistant what there is."""
        own = {name: branch.payloads for name, branch in self._branches.own.items()}
        self._put(introduction(self._config, self._payloads, own))

    def _put(self, message: Message) -> None:
        self._delivery.outbox.put(message)

    def works(self) -> bool:
        """Whether frames went all the way since this was last asked, or no camera could give one."""
        return self._branches.works()

    def summary(self) -> str:
        """One line for a person: how many cameras give frames, and what waits for the broker."""
        figures = self._delivery.figures()
        link = "connected" if figures["connected"] else "not connected"
        return f"{len(self._health.online())} of {len(self._config.cameras)} cameras online; {link}, {figures['depth']} messages wait"

    def publish_health(self) -> None:
        """One `health` message."""
        model = {"provider": self._provider, "fell_away": self._fell_away}
        extra = {"model": model, "outbox": self._delivery.figures()}
        self._vitals.told(self._report.health(self._branches.counts(), extra, self._vitals.observe))

    def stop(self, *, drain_s: float = DRAIN_S) -> bool:
        """Stops everything in order; whether every thread has ended.

        All its waits together end within 4 s, whatever does not; only a longer drain, when files have ended, adds to that.
        """
        left = Deadline(_STOPPED_WITHIN_S + max(0.0, drain_s - DRAIN_S)).left_s
        self._updater.ask_to_stop()
        if drain_s <= DRAIN_S:
            self._delivery.last_connection()
        return stop_in_order(
            (
                lambda: self._branches.stop(left(_CAMERAS_STOP_S)),
                lambda: self._stop_snapshots(left(_DESK_STOP_S)),
                lambda: self._stop_desk(left(_DESK_STOP_S)),
                lambda: [] if self._updater.stop(left(_UPDATES_STOP_S)) else ["updates"],
                self._say_last_words,
                lambda: [] if self._delivery.stop(drain_s, within_s=left()) else ["uplink"],
                self._close,
            )
        )

    def _stop_snapshots(self, timeout_s: float) -> list[str]:
        return [] if self._snapshots is None or self._snapshots.stop(timeout_s) else ["snapshots"]

    def _stop_desk(self, timeout_s: float) -> list[str]:
        return [] if self._desk is None or self._desk.close(timeout_s) else ["commands"]

    def _say_last_words(self) -> list[str]:
        for branch in self._branches:
            branch.events.close()
        for name in self._health.online():
            self._report.state_changed(name, "offline", "the agent was stopped")
        self.publish_health()
        return []

    def _close(self) -> list[str]:
        self._vitals.close()
        self._delivery.close()
        self._models.release()
        return []

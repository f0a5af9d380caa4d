"""The composition root: builds the agent from its configuration, starts it, and stops it in order."""

import logging
import time
from collections.abc import Callable, Sequence

from edge import __version__
from edge.admission import admitted
from edge.cameras import Settings
from edge.cameras.lastresort import LastResort
from edge.cameras.reader import CameraReader
from edge.cameras.source import source_for
from edge.clock import Clock
from edge.commands import Gate
from edge.config import CameraConfig, Config
from edge.control import Control
from edge.delivery import Delivery
from edge.desk import Desk
from edge.errors import SessionError
from edge.events import Events
from edge.health import Health
from edge.homeassistant import Seen, discovery, discovery_topic, status_topic
from edge.latest import Latest
from edge.liveness import Liveness
from edge.message import Importance, Message, encode
from edge.payloads import Payloads, board
from edge.pipeline import Pipeline
from edge.report import Report
from edge.scene import Scene
from edge.sequence import default_state_dir, new_id
from edge.signing import Keys
from edge.stages import Stage
from edge.tuned import options_for

__all__ = ["Agent"]

log = logging.getLogger(__name__)

_TASKS = frozenset({"classification", "detection"})
_CAMERAS_STOP_S = 4.5
_DESK_STOP_S = 1.0
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
    ) -> None:
        self._config = config
        self._changed = changed
        clock = clock or Clock()
        mqtt = config.mqtt
        bundle = admitted(config)
        if bundle.manifest.task not in _TASKS:
            raise SessionError(f"{bundle.path}: a {bundle.manifest.task} model makes no events in this version")
        options = options_for(bundle, config.model, config.state_dir or default_state_dir())
        stage = Stage(bundle, options, threshold=config.model.threshold)
        manifest = bundle.manifest
        self._provider = stage.session.provider
        self._fell_away = dict(stage.session.fell_away)
        boot_id = new_id(clock.wall_ns())
        self._payloads = payloads = Payloads(
            root=mqtt.root,
            node=mqtt.node,
            boot_id=boot_id,
            clock=clock,
            model={
                "name": manifest.name,
                "version": manifest.version,
                "sha256": bundle.digest,
                "precision": manifest.precision,
                "provider": stage.session.provider,
            },
            labels=bundle.labels,
        )
        enabled = {name: camera for name, camera in config.cameras.items() if camera.enabled}
        self._control = control = Control(list(enabled), reload)
        self._desk = self._build_desk() if config.transport == "mqtt" else None
        self._delivery = delivery = Delivery(config, boot_id=boot_id, clock=clock, hearing=self._desk)
        self._health = health = Health(config.cameras)
        self._report = Report(payloads, delivery.outbox, health)
        exclusive = manifest.task == "classification"
        ev = config.events
        self._events = Events(
            payloads,
            delivery.outbox,
            {name: Scene(hold_s=ev.hold_s, cooldown_s=ev.cooldown_s, exclusive=exclusive) for name in enabled},
            delivery.sequence.next,
            threshold=stage.threshold,
            labels=ev.labels,
            counts=ev.counts,
            frames_per_s=ev.frames_per_s,
        )
        lossless = frozenset(name for name, c in enabled.items() if c.pace == "fast")
        self._slots = Latest(list(enabled), lossless=lossless)
        readers = [self._reader(name, camera, clock) for name, camera in enabled.items()]
        rarest_s = max((1 / c.fps for c in enabled.values() if c.fps), default=0.0)
        self._liveness = Liveness(health.online, rarest_s=rarest_s)
        self._pipeline = Pipeline(
            readers,
            self._slots,
            stage,
            self._events,
            health,
            clock,
            on_end,
            looks=control.looks,
            liveness=self._liveness,
        )
        control.attach(self._events, readers)
        self._unknown = sorted(set(ev.labels) - set(bundle.labels))

    def _reader(self, name: str, camera: CameraConfig, clock: Clock) -> CameraReader:
        settings = Settings.of({**camera.model_dump(mode="json"), "kind": camera.inferred_kind})
        last = None
        if camera.recovery_command:
            record = (self._config.state_dir or default_state_dir()) / f"recovery-{name}.json"
            after_s, per_day = camera.recovery_after_s, camera.recovery_per_day
            last = LastResort(camera.recovery_command, after_s=after_s, per_day=per_day, record=record)
        return CameraReader(name, settings, source_for(settings), self._slots, self._report, clock, last)

    def start(self) -> None:
        """Starts every thread."""
        config = self._config
        for label in self._unknown:
            log.warning("events.labels: the model has no label %r", label)
        for provider, reason in self._fell_away.items():
            log.warning("provider %s fell away: %s; running on %s", provider, reason, self._provider)
        cameras = {name: {"kind": c.inferred_kind, "enabled": c.enabled} for name, c in config.cameras.items()}
        runtime = {"provider": self._provider, "fell_away": self._fell_away}
        self._report.born(runtime=runtime, cameras=cameras, changed=self._changed)
        for name, camera in config.cameras.items():
            if not camera.enabled:
                self._report.state_changed(name, "disabled", "switched off in the configuration")
        self._events.open()
        if self._desk is not None:
            self._desk.open(self._delivery.spool, self._delivery.uplink.wake)
            self._control.restore(self._desk.saved("threshold"))
        self._delivery.start()
        self._pipeline.start()

    def _build_desk(self) -> Desk | None:
        config, payloads = self._config, self._payloads
        commands, home = config.commands, config.homeassistant
        if not (commands.enabled or home.enabled):
            return None
        gate = Gate(
            node=config.mqtt.node,
            allow=frozenset(commands.allow) if commands.enabled else frozenset(),
            keys=Keys(commands.keys),
            signed=commands.signed,
            counter_of=lambda key: self._desk.counter(key) if self._desk is not None else 0,
        )
        return Desk(
            payloads,
            gate,
            self._control.verbs() if commands.enabled else {},
            self._control.switches() if commands.enabled else {},
            hello=status_topic(home.prefix) if home.enabled else None,
            introduce=self._introduce if home.enabled else lambda: None,
        )

    def _introduce(self) -> None:
        """Tells Home Assistant what there is."""
        config, payloads = self._config, self._payloads
        labels = dict(zip(payloads.count_topics(), payloads.labels, strict=True))
        wanted = set(config.events.labels)
        shown = {topic: label for topic, label in labels.items() if not wanted or label in wanted}
        switches = ("detect",) if config.commands.enabled else ()
        document = discovery(
            root=payloads.root,
            node=payloads.node,
            version=__version__,
            model=payloads.model,
            hardware=board(),
            cameras={
                name: Seen(shown if config.events.counts else {}, switches=switches if camera.enabled else ())
                for name, camera in config.cameras.items()
            },
        )
        topic = discovery_topic(config.homeassistant.prefix, payloads.node)
        message = Message(topic, encode(document), Importance.B, retain=True, stamped=False, last_value=True)
        self._delivery.outbox.put(message)

    def works(self) -> bool:
        """Whether frames went all the way since this was last asked, or no camera could give one."""
        return self._liveness.works()

    def summary(self) -> str:
        """One line for a person: how many cameras give frames, and what waits for the broker."""
        figures = self._delivery.figures()
        link = "connected" if figures["connected"] else "not connected"
        return f"{len(self._health.online())} of {len(self._config.cameras)} cameras online; {link}, {figures['depth']} messages wait"

    def publish_health(self) -> None:
        """One `health` message."""
        model = {"provider": self._provider, "fell_away": self._fell_away}
        self._report.health(lambda: dict(self._slots.dropped), {"model": model, "outbox": self._delivery.figures()})

    def stop(self, *, drain_s: float = DRAIN_S) -> bool:
        """Stops everything in order; whether every thread has ended."""
        begun = time.monotonic()
        stuck: list[str] = []
        for step in (
            self._stop_pipeline,
            self._stop_desk,
            self._say_last_words,
            lambda: self._stop_uplink(drain_s),
            self._close,
        ):
            try:
                stuck += step()
            except Exception:  # noqa: PERF203 - one that cannot stop must not keep the others from it
                log.exception("stop: a step failed")
                stuck.append("a step of the stop")
        if stuck:
            log.error("stop: would not end: %s", ", ".join(stuck))
        log.info("stopped in %.2f s", time.monotonic() - begun)
        return not stuck

    def _stop_pipeline(self) -> list[str]:
        return self._pipeline.stop(_CAMERAS_STOP_S)

    def _stop_desk(self) -> list[str]:
        return [] if self._desk is None or self._desk.close(_DESK_STOP_S) else ["commands"]

    def _say_last_words(self) -> list[str]:
        self._events.close()
        for name in self._health.online():
            self._report.state_changed(name, "offline", "the agent was stopped")
        self.publish_health()
        return []

    def _stop_uplink(self, drain_s: float) -> list[str]:
        return [] if self._delivery.stop(drain_s) else ["uplink"]

    def _close(self) -> list[str]:
        self._delivery.close()
        return []

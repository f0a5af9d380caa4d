"""What Home Assistant is told about an agent, out of its configuration and its model."""

from collections.abc import Mapping

from edge import __version__
from edge.config import CameraConfig, Config
from edge.homeassistant.discovery import Seen, discovery, discovery_topic
from edge.message import Importance, Message, encode
from edge.reporting.payloads import Payloads, board
from edge.scene.sighting import BACKGROUND

__all__ = ["introduction"]


def introduction(config: Config, payloads: Payloads, own: Mapping[str, Payloads]) -> Message:
    """The retained discovery message. `own` are the payloads of cameras with a model of their own."""
    shown = _shown(config, payloads)
    document = discovery(
        root=payloads.root,
        node=payloads.node,
        version=__version__,
        model=payloads.model,
        hardware=board(),
        cameras={
            name: Seen(
                _shown(config, own[name]) if name in own else shown,
                counts=config.events.counts,
                zones=tuple(camera.zones),
                switches=_switches(config, camera),
                snapshots=config.snapshots.enabled and camera.enabled,
            )
            for name, camera in config.cameras.items()
        },
    )
    topic = discovery_topic(config.homeassistant.prefix, payloads.node)
    return Message(topic, encode(document), Importance.B, retain=True, stamped=False, last_value=True)


def _shown(config: Config, payloads: Payloads) -> dict[str, str]:
    labels = dict(zip(payloads.count_topics(), payloads.labels, strict=True))
    wanted = set(config.events.labels)
    return {topic: label for topic, label in labels.items() if (label in wanted if wanted else label != BACKGROUND)}


def _switches(config: Config, camera: CameraConfig) -> tuple[str, ...]:
    if not (config.commands.enabled and camera.enabled):
        return ()
    motion = camera.motion is not None and camera.motion.enabled
    return ("detect", *(["motion"] if motion else []), *(["snapshots"] if config.snapshots.enabled else []))

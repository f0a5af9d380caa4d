"""One camera's view: how many of each label are in it and in its zones, and what of that is told as events."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from edge.bundle.bundle import Bundle
from edge.config import CameraConfig, Config
from edge.frame import Frame
from edge.scene.scene import Scene
from edge.scene.sighting import Change, Sighting, told_labels
from edge.scene.tracks import Tracker
from edge.scene.zones import Zone

__all__ = ["View", "views_of"]

log = logging.getLogger(__name__)

_OF_OBJECTS = frozenset({"detection", "instances", "pose"})


class View:
    """Events are about objects where they are followed (`follow`), else about labels.

    Counts are of what is seen at once in either case, so that an object that is taken for another one is not counted
    twice. `exclusive`: only one label can be there at a time (classification).
    """

    def __init__(
        self,
        *,
        hold_s: float,
        cooldown_s: float,
        exclusive: bool = False,
        follow: bool = False,
        zones: Sequence[Zone] = (),
    ) -> None:
        self._scene = Scene(hold_s=hold_s, cooldown_s=cooldown_s, exclusive=exclusive)
        self._zones = {zone.name: (zone, Scene(hold_s=hold_s, cooldown_s=cooldown_s)) for zone in zones}
        self._tracker = Tracker(hold_s=hold_s, cooldown_s=cooldown_s, zones=zones) if follow else None

    @property
    def zones(self) -> Sequence[Zone]:
        """As given."""
        return [zone for zone, _ in self._zones.values()]

    @property
    def counts(self) -> Mapping[int, int]:
        """How many of each label are in view."""
        return self._scene.counts

    @property
    def zone_counts(self) -> Mapping[str, Mapping[int, int]]:
        """How many of each label are in each zone."""
        return {name: scene.counts for name, (_, scene) in self._zones.items()}

    def change(self, *, hold_s: float, cooldown_s: float) -> None:
        """Other times from the next frame on."""
        for timed in (self._scene, *(scene for _, scene in self._zones.values())):
            timed.change(hold_s=hold_s, cooldown_s=cooldown_s)
        if self._tracker is not None:
            self._tracker.change(hold_s=hold_s, cooldown_s=cooldown_s)

    def see(self, frame: Frame, sightings: Sequence[Sighting]) -> list[Change]:
        """The changes that a frame brings."""
        changes = self._scene.see(frame, sightings)
        for zone, scene in self._zones.values():
            scene.see(frame, [s for s in sightings if zone.holds(s.label_id, s.box)])
        if self._tracker is None:
            return changes
        counts = self.counts
        return [replace(c, count=counts.get(c.best.label_id, 0)) for c in self._tracker.see(frame, sightings)]

    def leave(self) -> list[Change]:
        """Ends everything: the camera is away, and what it would show is not known."""
        changes = self._scene.leave()
        for _, scene in self._zones.values():
            scene.leave()
        return changes if self._tracker is None else self._tracker.leave()


def views_of(config: Config, cameras: Iterable[str], bundle: Bundle) -> dict[str, View]:
    """The views of cameras, by name, as the configuration asks for them and this bundle's task has them."""
    task, events = bundle.manifest.task, config.events
    return {
        name: View(
            hold_s=events.hold_s,
            cooldown_s=events.cooldown_s,
            exclusive=task == "classification",
            follow=events.follow and task in _OF_OBJECTS,
            zones=_zones(name, config.cameras[name], told_labels(bundle)),
        )
        for name in cameras
    }


def _zones(camera: str, config: CameraConfig, labels: Sequence[str]) -> list[Zone]:
    zones = []
    for name, zone in config.zones.items():
        wanted = frozenset(i for i, label in enumerate(labels) if label in zone.labels) if zone.labels else None
        for label in sorted(set(zone.labels) - set(labels)):
            log.warning("cameras.%s.zones.%s.labels: the model has no label %r", camera, name, label)
        zones.append(Zone(name, zone.corners, wanted))
    return zones

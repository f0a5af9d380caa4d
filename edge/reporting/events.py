"""Results -> messages: what came, changed and left, how many there are, and, when asked for, every frame."""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from edge.delivery.outbox import Outbox
from edge.frame import Frame
from edge.inference.stages import Timing
from edge.log import Repeats
from edge.message import IllegalMessageError, Importance, Message, encode
from edge.reporting.payloads import Payloads
from edge.results import Result
from edge.scene.sighting import BACKGROUND, Change, sightings
from edge.scene.view import View

__all__ = ["Events"]

log = logging.getLogger(__name__)

_MAX_OBJECTS_A_FRAME = 300
_MAX_ZEROES = 100
_UNTIMED = Timing(0.0, 0.0, 0.0)


class Events:
    """Tells the outbox what happens in front of the cameras. One thread, the inference's, calls it.

    Where several do, each with its own cameras, they number their events in `turn`.
    """

    def __init__(
        self,
        payloads: Payloads,
        outbox: Outbox,
        views: Mapping[str, View],
        next_seq: Callable[[], int],
        *,
        threshold: float,
        labels: Sequence[str] = (),
        counts: bool = True,
        frames_per_s: float = 0.0,
        picture: Callable[[Frame, str, str], None] | None = None,
        turn: AbstractContextManager[object] | None = None,
    ) -> None:
        self._payloads = payloads
        self._outbox = outbox
        self._views = views
        self._next_seq = next_seq
        self._threshold = threshold
        self._picture = picture
        self._turn = turn or threading.Lock()
        self._label_topics = payloads.count_topics()
        self._tell_of(labels, counts=counts, frames_per_s=frames_per_s)
        self._told: dict[tuple[str, str | None], dict[int, int]] = {}
        self._last: dict[str, Frame] = {}
        self._next_frame_ns = dict.fromkeys(views, 0)
        self._repeats = Repeats(log)
        self.dead = 0

    def set_threshold(self, value: float) -> None:
        """The least score that makes an event, from the next frame on. Any thread may."""
        self._threshold = value

    def change(
        self, *, labels: Sequence[str], counts: bool, frames_per_s: float, hold_s: float, cooldown_s: float
    ) -> None:
        """Other settings from the next frame on; what is in view stays there. Only between two frames."""
        self._tell_of(labels, counts=counts, frames_per_s=frames_per_s)
        for view in self._views.values():
            view.change(hold_s=hold_s, cooldown_s=cooldown_s)

    def _tell_of(self, labels: Sequence[str], *, counts: bool, frames_per_s: float) -> None:
        wanted = set(labels)
        named = enumerate(self._payloads.labels)
        self._wanted = {i for i, label in named if (label in wanted if wanted else label != BACKGROUND)}
        self._count_topics = self._label_topics if counts else []
        self._frame_gap_ns = round(1e9 / frames_per_s) if frames_per_s else None

    def open(self) -> None:
        """Says that nothing is in view yet, over what an earlier run may have left at the broker."""
        zeroes = dict.fromkeys(self._wanted, 0)
        for camera, view in self._views.items():
            for zone in view.zones:
                asked = {label: 0 for label in zeroes if zone.label_ids is None or label in zone.label_ids}
                self._tell_first(camera, zone.name, asked)
            self._tell_first(camera, None, zeroes)

    def seen(self, frame: Frame, result: Result, timing: Timing) -> None:
        """Tells what a frame brought."""
        view = self._views[frame.camera]
        found = sightings(result, (frame.width, frame.height), threshold=self._threshold)
        shown = [s for s in found if s.label_id in self._wanted]
        self._last[frame.camera] = frame if self._picture is not None else frame.remembered()
        for change in view.see(frame, shown):
            self._tell(change, frame, timing)
        self._tell_counts(frame.camera)
        if self._frame_gap_ns is not None and frame.mono_ns >= self._next_frame_ns[frame.camera]:
            due_ns = self._next_frame_ns[frame.camera] + self._frame_gap_ns
            later_ns = frame.mono_ns + self._frame_gap_ns
            self._next_frame_ns[frame.camera] = due_ns if due_ns > frame.mono_ns else later_ns
            payload = self._payloads.frame(frame, shown[:_MAX_OBJECTS_A_FRAME], timing)
            self._put((frame.camera, "frame"), payload, Importance.NOW_OR_NEVER, qos=0)

    def gone(self, camera: str) -> None:
        """Ends what was in a camera's view."""
        if camera in self._last:
            frame = self._last.pop(camera)
            for change in self._views[camera].leave():
                self._tell(change, frame, _UNTIMED)
            self._tell_counts(camera)

    def close(self) -> None:
        """Ends what is in view of any camera."""
        for camera in self._views:
            self.gone(camera)

    def _tell(self, change: Change, frame: Frame, timing: Timing) -> None:
        with self._turn:  # or another model's event would overtake its number
            seq = self._next_seq()
            payload = self._payloads.event(change, frame, timing, seq)
            self._put((frame.camera, "event"), payload, Importance.A, qos=1, seq=seq)
        if self._picture is not None:
            self._picture(frame, change.type, self._label_topics[change.best.label_id])

    def _tell_first(self, camera: str, zone: str | None, zeroes: Mapping[int, int]) -> None:
        if len(zeroes) <= _MAX_ZEROES:
            self._tell_changed(camera, zone, zeroes)

    def _tell_counts(self, camera: str) -> None:
        view = self._views[camera]
        self._tell_changed(camera, None, view.counts)
        for zone, counts in view.zone_counts.items():
            self._tell_changed(camera, zone, counts)

    def _tell_changed(self, camera: str, zone: str | None, counts: Mapping[int, int]) -> None:
        if not self._count_topics:
            return
        told = self._told.setdefault((camera, zone), {})
        if told == counts:
            return
        where = (camera,) if zone is None else (camera, "zone", zone)
        for label in told.keys() | counts.keys():
            count = counts.get(label, 0)
            if told.get(label) != count:
                told[label] = count
                topic = self._payloads.topic(*where, "count", self._count_topics[label])
                body = str(count).encode()
                self._outbox.put(Message(topic, body, Importance.B, qos=1, retain=True, stamped=False, last_value=True))

    def _put(
        self,
        levels: tuple[str, ...],
        payload: Mapping[str, Any],
        importance: Importance,
        *,
        qos: int,
        seq: int | None = None,
    ) -> None:
        topic = self._payloads.topic(*levels)
        try:
            self._outbox.put(Message(topic, encode(payload), importance, qos=qos, seq=seq))
        except IllegalMessageError as e:
            self.dead += 1
            self._repeats.failed(f"a message that no broker takes was given up: {e}")
            if seq is not None:
                self._outbox.refuse(topic, repr(payload).encode(), str(e), seq)

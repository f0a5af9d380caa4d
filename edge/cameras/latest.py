"""Between the cameras and the model: one slot a camera, where the newest frame wins and the loser is counted."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edge.frame import Frame

__all__ = ["Gone", "Latest"]


@dataclass(frozen=True, slots=True)
class Gone:
    """Comes out of the slots after a camera's last frame: what was in its view is no longer known."""

    camera: str


class Latest:
    """Slots of several cameras, emptied in turn so that none starves.

    A camera in `lossless` waits for its slot to be emptied instead of overwriting it: for files that are to be
    used to the last frame. Those in `resting` are switched off for now. Any thread may call any method.
    """

    def __init__(
        self,
        cameras: Sequence[str],
        *,
        lossless: frozenset[str] = frozenset(),
        resting: frozenset[str] = frozenset(),
    ) -> None:
        self._slots: dict[str, Frame | None] = dict.fromkeys(cameras)
        self._turns = list(cameras)
        self._lossless = lossless
        # Held while a lossless camera's slot is full. A lock is waited for in C, and once a frame is that often.
        self._room = {camera: threading.Lock() for camera in lossless}
        self._changed = threading.Condition()
        self._closed = False
        self._open = set(cameras) - resting
        self._ended = False
        self._gone: set[str] = set()
        self.dropped = dict.fromkeys(cameras, 0)
        self.show_first: Callable[[Frame], None] | None = None

    @property
    def all_lossless(self) -> bool:
        """Whether every frame of every camera that is on is to be used."""
        return self._lossless >= self._open

    def put(self, frame: Frame) -> bool:
        """Leaves a frame for the model; False when nobody will take it any more."""
        if self.show_first is not None:
            self.show_first(frame)
        room = self._room.get(frame.camera)
        if room is not None:
            room.acquire()  # whoever takes the frame releases it
        with self._changed:
            if self._closed:
                self._let_go()
                return False
            if self._slots[frame.camera] is not None:
                self.dropped[frame.camera] += 1
            self._slots[frame.camera] = frame
            self._gone.discard(frame.camera)
            self._changed.notify_all()
            return True

    def take(self, timeout_s: float | None = None) -> Frame | Gone | None:
        """The next camera's frame, waiting for one; None when time is up, or when there will be no more."""
        with self._changed:
            if not self._ready():
                self._changed.wait_for(lambda: self._ready() or self.done, timeout_s)
            if self._closed:
                return None
            for i, camera in enumerate(self._turns):
                frame = self._slots[camera]
                if frame is not None:
                    self._slots[camera] = None
                    # Whoever was served goes to the end of the queue.
                    self._turns.append(self._turns.pop(i))
                    if camera in self._room:
                        self._room[camera].release()
                    return frame
                if camera in self._gone:
                    self._gone.discard(camera)
                    return Gone(camera)
            return None

    def gone(self, camera: str, *, for_good: bool = False) -> None:
        """Says that a camera is away, or that it has ended and will put no more frames."""
        with self._changed:
            self._gone.add(camera)
            if for_good:
                self._open.discard(camera)
                self._ended = True
            self._changed.notify_all()

    def rest(self, camera: str) -> None:
        """Says that a camera is switched off, until it is `back`."""
        with self._changed:
            self._gone.add(camera)
            self._open.discard(camera)
            self._changed.notify_all()

    def back(self, camera: str) -> None:
        """Says that a camera is switched on."""
        with self._changed:
            self._open.add(camera)

    def close(self) -> None:
        """Wakes everybody up for the last time; frames still waiting are given up."""
        with self._changed:
            self._closed = True
            self._let_go()
            self._changed.notify_all()

    @property
    def done(self) -> bool:
        """Whether there will be no more frames: closed, or every camera that is on has ended and every slot is empty."""
        return self._closed or (self._ended and not self._open and not self._ready())

    def _ready(self) -> bool:
        return bool(self._gone or any(self._slots.values()))

    def _let_go(self) -> None:
        """Nobody waits for room any more: each that gets it lets the next one have it."""
        for room in self._room.values():
            if room.locked():
                room.release()

"""What the tests of cameras have in common: settings, a watcher that remembers, a reader on its thread."""

import time
from contextlib import contextmanager

from edge.cameras import NeverStop, Opening, Settings
from edge.cameras.latest import Latest
from edge.cameras.reader import CameraReader
from edge.cameras.source import source_for
from edge.clock import Clock
from edge.config import CameraConfig


def settings_of(source, **settings):
    config = CameraConfig(source=source if isinstance(source, int) else str(source), **settings)
    return Settings.of({**config.model_dump(mode="json"), "kind": config.inferred_kind})


def opening(source, **settings):
    return Opening(settings_of(source, **settings), Clock(), NeverStop())


class Watcher:
    def __init__(self):
        self.states = []
        self.steps = []
        self.frames = 0

    @property
    def state(self):
        return self.states[-1][0] if self.states else None

    def frame_read(self, _camera):
        self.frames += 1

    def state_changed(self, _camera, state, reason, step=None):
        self.states.append((state, reason))
        self.steps.append(step)


@contextmanager
def reading(source, opener=None, clock=None, last_resort=None, **settings):
    slots, watcher = Latest(["cam"]), Watcher()
    found = settings_of(source, **settings)
    way = opener or source_for(found)
    reader = CameraReader("cam", found, way, slots, watcher, clock or Clock(), last_resort)
    reader.start()
    try:
        yield slots, watcher
    finally:
        reader.stop()
        slots.close()
        assert reader.join(8)


def until(condition, seconds=40):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)

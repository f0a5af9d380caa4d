"""The thread that reads a camera: stamps, failed grabs and the cap on its rate, by a camera that does as it is told."""

import numpy as np
import pytest
from camera_parts import reading, until

from edge.cameras.latest import Gone
from edge.clock import Clock
from edge.errors import CameraError


class Scripted:
    """A camera that does as it is told: a number is a picture taken then, an error is raised, None is the end."""

    def __init__(self, steps, clock):
        self.steps = list(steps)
        self.clock = clock
        self.retrieved = 0
        self.closed = 0
        self.killed = 0
        self.refused = {}

    def __call__(self, opening):
        self.opening = opening
        return self

    def grab(self):
        step = self.steps.pop(0) if self.steps else None
        if isinstance(step, Exception):
            raise step
        if step is None:
            return None
        self.clock.now = step
        return step

    def retrieve(self, _into=None):
        self.retrieved += 1
        return np.zeros((4, 4, 3), np.uint8)

    def close(self):
        self.closed += 1

    def kill(self):
        self.killed += 1


class FakeClock:
    def __init__(self):
        self.now = 0

    def clock(self):
        return Clock(wall_ns=lambda: 10**18 + self.now, mono_ns=lambda: self.now)


def test_reader_when_a_read_blocks_then_the_frame_is_stamped_after_it():
    fake = FakeClock()
    camera = Scripted([5_000_000_000], fake)

    with reading("x.avi", camera, fake.clock(), pace="fast") as (slots, _):
        frame = slots.take(5)

    assert (frame.captured_ns, frame.mono_ns) == (10**18 + 5_000_000_000, 5_000_000_000)


def test_reader_when_a_grab_fails_then_nothing_is_decoded_and_the_camera_is_closed_and_opened_again():
    fake = FakeClock()
    camera = Scripted([CameraError("unplugged"), CameraError("unplugged"), RuntimeError("driver"), 1], fake)

    with reading("x.avi", camera, fake.clock()) as (slots, watcher):
        items = [slots.take(10), slots.take(10)]
        until(lambda: watcher.states[-1:] == [("offline", "the file has ended")])

    assert [type(i) for i in items[:1]] == [Gone]
    assert camera.retrieved == 1
    assert camera.closed == 5, "each time it was opened, and at the end"
    assert watcher.steps == ["reopen", "down", None, None], "repeats are not told again"
    assert watcher.states[0] == ("offline", "unplugged; opening it again")


def test_reader_when_fps_is_capped_then_frames_are_skipped_without_decoding():
    fake = FakeClock()
    camera = Scripted([1 + i * 33_333_333 for i in range(300)], fake)

    with reading("x.avi", camera, fake.clock(), fps=10) as (_, watcher):
        until(lambda: watcher.state == "offline")

    assert camera.retrieved == pytest.approx(100, abs=3)


def test_reader_when_fps_is_capped_at_the_cameras_own_then_jitter_does_not_halve_it():
    fake = FakeClock()
    times = [1 + i * 100_000_000 + (-1) ** i * 4_000_000 for i in range(1, 200)]
    camera = Scripted(times, fake)

    with reading("x.avi", camera, fake.clock(), fps=10) as (_, watcher):
        until(lambda: watcher.state == "offline")

    assert camera.retrieved >= 190

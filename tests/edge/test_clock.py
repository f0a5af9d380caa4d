"""Wall time from one place: the same moment has the same time until the clock is set, and then the right one."""

import json
import time

import numpy as np
import pytest

from edge.clock import Clock, ClockState
from edge.frame import Frame
from edge.inference.stages import Timing
from edge.reporting.payloads import Payloads
from edge.scene.sighting import Sighting
from edge.scene.tracks import Tracker

SECOND = 10**9
NOON = 1_763_812_800 * SECOND  # 2025-11-22T12:00:00Z
NEVER_SET = 86_400 * SECOND  # a board without a clock of its own begins in 1970


class FakeTime:
    """Monotonic and wall time of a node whose clock is set while it runs; each reading takes a microsecond."""

    def __init__(self):
        self.mono, self.ahead, self.synced = 100 * SECOND, NEVER_SET, False
        self.clock = Clock(
            lambda: self._read() + self.ahead, self._read, lambda: ClockState(self.synced, "kernel", None)
        )

    def _read(self):
        self.mono += 1000
        return self.mono

    def set_to(self, wall_ns):
        self.ahead, self.synced = wall_ns - self.mono, True


def test_wall_of_when_a_moment_is_asked_for_again_then_the_time_is_the_same_to_the_nanosecond():
    fake = FakeTime()
    first = fake.clock.wall_of(5 * SECOND)
    fake.mono += 3600 * SECOND
    assert fake.clock.wall_of(5 * SECOND) == first == pytest.approx(NEVER_SET + 5 * SECOND, abs=2000)


def test_wall_of_when_a_reading_is_interrupted_then_nothing_moves():
    fake = FakeTime()
    first = fake.clock.wall_of(5 * SECOND)
    waits = iter([30_000_000])
    wall_ns = fake.clock.wall_ns

    def interrupted():
        found = wall_ns()
        fake.mono += next(waits, 0)
        return found

    fake.clock.wall_ns = interrupted
    assert fake.clock.wall_of(5 * SECOND) == first


@pytest.mark.parametrize("step_s", [3600, -86_400, 0.01])
def test_wall_of_when_the_clock_is_set_then_earlier_moments_are_corrected_too(step_s):
    fake = FakeTime()
    first = fake.clock.wall_of(5 * SECOND)
    fake.ahead += round(step_s * SECOND)
    assert fake.clock.wall_of(5 * SECOND) - first == pytest.approx(step_s * SECOND, abs=2000)


def test_wall_of_when_it_is_the_machines_own_clock_then_it_is_right():
    clock = Clock()
    assert abs(clock.wall_of(time.monotonic_ns()) - time.time_ns()) < SECOND


def test_event_when_the_clock_is_set_while_an_object_is_there_then_its_beginning_is_told_anew():
    fake = FakeTime()
    tracker = Tracker(hold_s=0, cooldown_s=0)
    payloads = Payloads("edge", "n1", "boot", fake.clock, {"name": "m"}, ("person",))

    def told(*sightings):
        """What the frame of this moment changes, as it is published."""
        taken_ns = fake.mono
        frame = Frame("door", 0, np.zeros((8, 8, 3), np.uint8), fake.clock.wall_of(taken_ns), taken_ns)
        (change,) = tracker.see(frame, sightings)
        return json.loads(json.dumps(payloads.event(change, frame, Timing(0, 0, 0), 1)))

    new = told(Sighting(0, 0.9, (0.1, 0.1, 0.5, 0.5)))
    fake.mono += 30 * SECOND
    fake.set_to(NOON + SECOND // 2)
    fake.mono += 30 * SECOND
    end = told()

    assert (new["clock"]["synced"], new["captured_at"][:10]) == (False, "1970-01-02")
    assert new["object"]["start"] == new["captured_at"]
    assert end["clock"]["synced"]
    assert end["captured_at"][:19] == "2025-11-22T12:00:30"
    assert end["object"]["start"][:19] == end["object"]["end"][:19] == "2025-11-22T11:59:30"

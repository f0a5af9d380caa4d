"""The next frame is prepared while the model is busy; nothing is lost, doubled or kept."""

import threading
import time

import numpy as np
import pytest

from edge.cameras.latest import Gone, Latest
from edge.frame import Frame
from edge.inference.ahead import Ahead, OnTime


class Preparer:
    """Stands in for a stage: notes which frames it was given, on which thread."""

    def __init__(self):
        self.seen = []

    def prepare(self, image):
        if image[0, 0, 0] == 255:
            raise ValueError("cannot")
        self.seen.append((int(image[0, 0, 0]), threading.current_thread().name))
        return f"prepared {image[0, 0, 0]}"


def frame(number, camera="a"):
    return Frame(camera, number, np.full((1, 1, 3), number, np.uint8), 0, 0)


@pytest.fixture
def slots():
    return Latest(["a"], lossless=frozenset({"a"}))


def feed(slots, numbers):
    def run():
        for n in numbers:
            slots.put(frame(n))
        slots.gone("a", for_good=True)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def wait_for(condition, seconds=5.0):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.005)
    return condition()


def test_every_frame_comes_in_order_with_what_was_prepared_of_it(slots):
    ahead = Ahead(slots, Preparer())
    ahead.start()
    feeder = feed(slots, range(20))

    found = [ahead.take(1.0) for _ in range(22)]
    feeder.join()
    assert [(i.id, p) for i, p in found[:20]] == [(n, f"prepared {n}") for n in range(20)]
    assert found[20:] == [(Gone("a"), None), (None, None)]
    assert ahead.stop(1.0)


def test_one_frame_is_prepared_beforehand_and_no_more_than_the_slot_holds(slots):
    stage = Preparer()
    ahead = Ahead(slots, stage)
    ahead.start()
    feeder = feed(slots, range(9))

    ahead.take(1.0)
    assert wait_for(lambda: len(stage.seen) == 3)  # the one that was taken, the one that waits, the one behind it
    time.sleep(0.05)
    assert len(stage.seen) == 3
    assert {name for _, name in stage.seen} == {feeder.name}
    slots.close()
    assert ahead.stop(1.0)
    feeder.join()


def test_stop_when_nobody_takes_any_more_then_nothing_is_kept(slots):
    ahead = Ahead(slots, Preparer())
    ahead.start()
    feeder = feed(slots, range(9))
    assert wait_for(lambda: len(ahead._prepared) == 2)

    slots.close()
    feeder.join()
    assert ahead.stop(1.0)
    assert not ahead._prepared


def test_frame_that_cannot_be_prepared_is_handed_on_as_it_is(slots):
    ahead = Ahead(slots, Preparer())
    ahead.start()
    feeder = feed(slots, [255, 1])

    assert [(i.id, p) for i, p in (ahead.take(1.0), ahead.take(1.0))] == [(255, None), (1, "prepared 1")]
    slots.close()
    assert ahead.stop(1.0)
    feeder.join()


def test_live_cameras_frame_is_taken_when_it_is_asked_for():
    slots = Latest(["a"])
    now = OnTime(slots)
    now.start()
    slots.put(frame(1))
    slots.put(frame(2))

    item, prepared = now.take(1.0)
    assert (item.id, prepared) == (2, None)
    assert now.stop(0.0)


@pytest.mark.parametrize(("lossless", "whole"), [({"a", "b"}, True), ({"a"}, False), (set(), False)])
def test_slots_know_whether_every_frame_is_to_be_used(lossless, whole):
    assert Latest(["a", "b"], lossless=frozenset(lossless)).all_lossless is whole

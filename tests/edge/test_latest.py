"""The slot between cameras and model."""

import threading
import time

import numpy as np

from edge.cameras.latest import Gone, Latest
from edge.frame import Frame

IMAGE = np.zeros((2, 2, 3), np.uint8)


def frame(camera, number):
    return Frame(camera, number, IMAGE, number, number)


def test_put_when_the_slot_is_full_then_the_newest_wins_and_the_drop_is_counted():
    slots = Latest(["a"])
    for i in range(4):
        assert slots.put(frame("a", i))

    taken = slots.take(0)

    assert taken.id == 3
    assert slots.dropped == {"a": 3}
    assert slots.take(0) is None


def test_take_when_cameras_compete_then_each_is_served_in_turn():
    slots = Latest(["a", "b", "c"])
    served = []
    for i in range(30):
        for camera in ("a", "b", "c"):
            if camera != "c" or i % 3 == 0:
                slots.put(frame(camera, i))
        served.append(slots.take(0).camera)
        served.append(slots.take(0).camera)

    assert abs(served.count("a") - served.count("b")) <= 2
    assert served.count("c") == 10


def test_put_when_lossless_then_it_waits_and_every_frame_comes_through():
    slots = Latest(["a"], lossless=frozenset({"a"}))

    def feed():
        for i in range(200):
            slots.put(frame("a", i))
        slots.gone("a", for_good=True)

    feeder = threading.Thread(target=feed)
    feeder.start()
    ids = []
    while (taken := slots.take(5)) is not None:
        if isinstance(taken, Frame):
            ids.append(taken.id)
    feeder.join(5)

    assert ids == list(range(200))
    assert slots.dropped == {"a": 0}
    assert slots.done


def test_gone_when_a_frame_waits_then_it_comes_first():
    slots = Latest(["a", "b"])
    slots.put(frame("a", 1))
    slots.gone("a")

    assert slots.take(0).id == 1
    assert slots.take(0) == Gone("a")
    assert slots.take(0) is None
    assert not slots.done


def test_close_when_someone_waits_then_everyone_is_let_go():
    slots = Latest(["a"], lossless=frozenset({"a"}))
    slots.put(frame("a", 0))
    results = []
    threads = [threading.Thread(target=lambda: results.append(slots.put(frame("a", 1)))) for _ in range(3)]
    for thread in threads:
        thread.start()
    time.sleep(0.05)

    slots.close()
    for thread in threads:
        thread.join(5)

    assert results == [False] * 3
    assert not slots.put(frame("a", 2))
    assert slots.take() is None


def test_take_when_nothing_comes_then_waiting_costs_no_cpu():
    slots = Latest(["a"])
    before = time.process_time()

    assert slots.take(0.3) is None

    assert time.process_time() - before < 0.05


def test_latest_when_cameras_are_switched_off_then_there_may_be_more_and_when_all_others_have_ended_there_is_not():
    slots = Latest(["a", "b"], resting=frozenset({"b"}))
    slots.rest("a")
    assert slots.take(0) == Gone("a"), "what it saw is no longer known"
    assert not slots.done, "all are off, and may be switched on"
    slots.back("a")
    assert slots.put(frame("a", 1))
    assert slots.take(0).id == 1
    slots.gone("a", for_good=True)
    assert slots.take(0) == Gone("a")
    assert slots.done

"""Objects followed over frames: one object, one id, whatever the detector leaves out."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.cameras.pattern import pattern_truth
from edge.frame import Frame
from edge.scene.sighting import Sighting
from edge.scene.tracks import Tracker
from edge.scene.zones import Zone

IMAGE = np.zeros((2, 2, 3), np.uint8)
MS = 1_000_000


def at(ms):
    return Frame("cam", ms, IMAGE, 1_700_000_000_000_000_000 + ms * MS, ms * MS)


def thing(x, y=0.4, width=0.1, height=0.2, label=0, score=0.9):
    return Sighting(label, score, (x, y, x + width, y + height))


def told(tracker, ms, *things):
    return [(c.type, c.id) for c in tracker.see(at(ms), things)]


def ids_of(tracker, frames, step_ms=100):
    """For each frame, the ids that came new in it."""
    return [[i for kind, i in told(tracker, n * step_ms, *things) if kind == "new"] for n, things in enumerate(frames)]


@pytest.mark.parametrize("step", [0.0, 0.02, 0.1, 0.14])
def test_see_when_an_object_moves_then_it_stays_the_same_even_faster_than_its_width(step):
    new = ids_of(Tracker(hold_s=1, cooldown_s=0), [[thing(step * n)] for n in range(6)])

    assert [len(ids) for ids in new] == [1, 0, 0, 0, 0, 0]


def test_see_when_two_cross_then_each_goes_its_own_way():
    tracker = Tracker(hold_s=1, cooldown_s=0, zones=[Zone("right", [(0.6, 0), (1, 0), (1, 1), (0.6, 1)])])
    first, _ = ids_of(tracker, [[thing(0.1, 0.40), thing(0.7, 0.43)]])[0]
    arrived = [
        change
        for n in range(1, 31)
        for change in tracker.see(at(n * 100), [thing(0.1 + 0.02 * n, 0.40), thing(0.7 - 0.02 * n, 0.43)])
        if "right" in change.zones
    ]

    assert {change.type for change in arrived} == {"update"}
    assert {change.id for change in arrived} == {first}


def test_see_when_it_is_missed_for_less_than_the_hold_then_it_is_the_same_object():
    tracker = Tracker(hold_s=1, cooldown_s=0)
    ((kind, one),) = told(tracker, 0, thing(0.1))
    assert kind == "new"
    assert told(tracker, 100) == []
    assert told(tracker, 1000) == []
    assert told(tracker, 1050, thing(0.12)) == []
    assert told(tracker, 1100) == []
    assert told(tracker, 2100) == [("end", one)]


def test_see_when_labels_differ_then_they_are_two_objects():
    new = ids_of(Tracker(hold_s=1, cooldown_s=0), [[thing(0.1)], [thing(0.1, label=1)]])

    assert [len(ids) for ids in new] == [1, 1]


def test_see_when_it_stays_ten_seconds_then_it_is_stationary_until_it_leaves_its_place():
    tracker = Tracker(hold_s=1, cooldown_s=0)
    changes = []
    for n in range(150):
        place = 0.3 + (0.004 if n % 2 else 0.0) if n < 120 else 0.3 + 0.01 * (n - 119)
        changes += [(n, c.type, c.stationary) for c in tracker.see(at(n * 100), [thing(place)])]

    assert [(kind, still) for _, kind, still in changes] == [("new", False), ("update", True), ("update", False)]
    assert changes[1][0] == 100
    assert 120 < changes[2][0] < 130


def test_see_when_zones_are_crossed_then_updates_say_where_it_is_and_has_been():
    left, right = (
        Zone(name, [(x, 0), (x + 0.5, 0), (x + 0.5, 1), (x, 1)]) for name, x in (("left", 0), ("right", 0.5))
    )
    tracker = Tracker(hold_s=1, cooldown_s=0, zones=[left, right])
    changes = []
    for n in range(8):
        changes += tracker.see(at(n * 100), [thing(0.2 + 0.05 * n)])

    assert [(c.type, c.zones) for c in changes] == [
        ("new", ("left",)),
        ("update", ("left", "right")),
        ("update", ("right",)),
    ], "on the line it is in both, so that one step back is no event"
    assert changes[-1].entered == ("left", "right")


def test_see_when_changes_come_within_the_cooldown_then_the_last_state_is_told_when_it_is_over():
    zone = Zone("left", [(0, 0), (0.5, 0), (0.5, 1), (0, 1)])
    tracker = Tracker(hold_s=1, cooldown_s=1, zones=[zone])
    changes = []
    for n, x in enumerate([0.3, 0.4, 0.48, 0.55, 0.48, 0.42, 0.4, 0.45, 0.5, 0.55, 0.6]):
        changes += [(n, c.type, c.zones) for c in tracker.see(at(n * 100), [thing(x)])]

    assert changes == [(0, "new", ("left",)), (10, "update", ())]


def test_see_when_a_box_has_no_area_then_it_is_no_object():
    tracker = Tracker(hold_s=1, cooldown_s=0)
    assert [told(tracker, n * 100, thing(0.5, width=0.0)) for n in range(3)] == [[], [], []]


def test_see_when_the_pattern_camera_moves_its_boxes_then_as_many_tracks_as_boxes():
    tracker = Tracker(hold_s=1, cooldown_s=0)
    rng = np.random.default_rng(3)
    frames = []
    for n in range(200):
        boxes = [np.array(shown.box) / [640, 480, 640, 480] for shown in pattern_truth(n, 640, 480)]
        frames.append([Sighting(0, 0.9, tuple(box.tolist())) for box in boxes if n == 0 or rng.random() > 0.2])

    new = [i for ids in ids_of(tracker, frames, step_ms=33) for i in ids]
    assert len(new) == len(frames[0])


boxes = st.tuples(*[st.integers(0, 8)] * 2, *[st.integers(0, 4)] * 2, st.integers(0, 1))


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.lists(boxes, max_size=5), max_size=25), st.sampled_from([0.0, 0.1, 0.5]), st.sampled_from([0.0, 0.3])
)
def test_see_when_anything_happens_then_tracks_open_and_close_in_pairs(frames, hold_s, cooldown_s):
    tracker = Tracker(hold_s=hold_s, cooldown_s=cooldown_s)
    open_tracks, seen = set(), set()
    for n, frame in enumerate(frames):
        things = [thing(x / 10, y / 10, w / 10, h / 10, label) for x, y, w, h, label in frame]
        changes = tracker.see(at(n * 100), things)
        for change in changes:
            if change.type == "new":
                assert change.id not in seen
                seen.add(change.id)
                open_tracks.add(change.id)
            else:
                assert change.id in open_tracks
            if change.type == "end":
                open_tracks.remove(change.id)
        assert sum(c.type == "new" for c in changes) <= len(things)
        assert len(open_tracks) >= sum(bool(t.area) for t in things), "whatever is seen is an open track's"
    assert {(c.type, c.id) for c in tracker.leave()} == {("end", i) for i in open_tracks}
    assert tracker.leave() == []

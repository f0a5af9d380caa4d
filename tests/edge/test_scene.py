"""Coming, changing and going, told from frames without a tracker."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.frame import Frame
from edge.scene.scene import Scene
from edge.scene.sighting import Sighting

IMAGE = np.zeros((2, 2, 3), np.uint8)
MS = 1_000_000


def at(ms):
    return Frame("cam", ms, IMAGE, 1_700_000_000_000_000_000 + ms * MS, ms * MS)


def see(scene, ms, *labels, score=0.9):
    sightings = [Sighting(label, score, (0.1, 0.2, 0.3, 0.6)) for label in labels]
    return [(c.type, c.best.label_id, c.count) for c in scene.see(at(ms), sightings)]


def test_see_when_a_label_comes_and_stays_away_then_new_and_end_with_one_id():
    scene = Scene(hold_s=1, cooldown_s=0)

    (new,) = scene.see(at(0), [Sighting(3, 0.7)])
    (_,) = scene.see(at(100), [Sighting(3, 0.95), Sighting(3, 0.6)])
    assert see(scene, 200) == []
    assert see(scene, 1199) == []
    (end,) = scene.see(at(1200), [])

    assert (new.type, end.type) == ("new", "end")
    assert new.id == end.id
    assert end.top_score == 0.95
    assert end.seen_mono_ns == at(100).mono_ns
    assert scene.counts == {}


def test_see_when_the_detector_flickers_then_nothing_is_told():
    scene = Scene(hold_s=1, cooldown_s=0)
    assert see(scene, 0, 5, 5) == [("new", 5, 2)]

    told = [see(scene, ms, *([5] * (ms // 100 % 3))) for ms in range(100, 5000, 100)]

    assert not any(told)
    assert scene.counts == {5: 2}


def test_see_when_more_come_then_the_rise_is_told_at_once_and_the_fall_after_the_hold():
    scene = Scene(hold_s=1, cooldown_s=0)
    assert see(scene, 0, 1) == [("new", 1, 1)]
    assert see(scene, 100, 1, 1, 1) == [("update", 1, 3)]
    assert see(scene, 200, 1, 1) == []
    assert see(scene, 1200, 1, 1) == [("update", 1, 2)]


def test_see_when_counts_change_within_the_cooldown_then_the_last_is_told_when_it_is_over():
    scene = Scene(hold_s=0, cooldown_s=1)
    assert see(scene, 0, 1) == [("new", 1, 1)]
    assert see(scene, 300, 1, 1) == []
    assert see(scene, 600, 1, 1, 1) == []
    assert see(scene, 1000, 1, 1, 1) == [("update", 1, 3)]


def test_see_when_exclusive_and_the_class_changes_then_the_old_ends_and_the_new_begins():
    scene = Scene(hold_s=5, cooldown_s=1, exclusive=True)
    assert see(scene, 0, 1) == [("new", 1, 1)]
    assert see(scene, 500, 2) == [], "not more often than the cooldown"
    assert see(scene, 600, 1) == []
    assert see(scene, 1100, 2) == [("end", 1, 1), ("new", 2, 1)]
    assert scene.counts == {2: 1}


def test_leave_when_things_are_in_view_then_each_ends():
    scene = Scene(hold_s=1, cooldown_s=0)
    see(scene, 0, 1, 2)

    assert {(c.type, c.best.label_id) for c in scene.leave()} == {("end", 1), ("end", 2)}
    assert scene.leave() == []


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 3), max_size=4), max_size=40),
    st.sampled_from([0.0, 0.1, 0.5]),
    st.sampled_from([0.0, 0.3]),
    st.booleans(),
)
def test_see_when_anything_happens_then_visits_open_and_close_in_pairs(frames, hold_s, cooldown_s, exclusive):
    scene = Scene(hold_s=hold_s, cooldown_s=cooldown_s, exclusive=exclusive)
    open_visits: dict[int, str] = {}
    seen_ids = set()
    changes = []
    for i, labels in enumerate(frames):
        shown = labels[:1] if exclusive else labels
        changes += scene.see(at(i * 100), [Sighting(label, 0.5) for label in shown])
        for label in set(shown):
            assert exclusive or scene.counts[label] >= shown.count(label), "a rise is never hidden"
    changes += scene.leave()
    for change in changes:
        label = change.best.label_id
        if change.type == "new":
            assert label not in open_visits
            assert change.id not in seen_ids
            assert not (exclusive and open_visits)
            open_visits[label] = change.id
            seen_ids.add(change.id)
        else:
            assert open_visits[label] == change.id
            if change.type == "end":
                del open_visits[label]
    assert not open_visits

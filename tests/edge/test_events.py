"""Results to messages; every one is what the published schemas promise."""

import json
import weakref
from importlib.resources import files

import jsonschema
import numpy as np
import pytest
from payload_parts import T0, Kept, assert_valid, payloads

from edge.frame import Frame
from edge.inference.stages import Timing
from edge.reporting.events import Events
from edge.reporting.payloads import SCHEMAS
from edge.results import Classification, Detections, Instances, Poses, Segmentation
from edge.scene.view import View
from edge.scene.zones import Zone

IMAGE = np.zeros((100, 200, 3), np.uint8)
MS = 1_000_000
TIMING = Timing(1.0, 2.0, 3.0)


def frame(ms=0, camera="door"):
    return Frame(camera, ms, IMAGE, T0 + ms * MS, ms * MS)


def detections(*objects):
    boxes = np.array([box for *_, box in objects], np.float32).reshape(-1, 4)
    return Detections(
        boxes, np.array([s for _, s, _ in objects], np.float32), np.array([i for i, *_ in objects], np.int64)
    )


def make(kept, *, exclusive=False, labels=(), hold_s=1.0, follow=False, zones=(), **settings):
    seqs = iter(range(1, 1000))
    views = {
        name: View(hold_s=hold_s, cooldown_s=0, exclusive=exclusive, follow=follow, zones=zones)
        for name in ("door", "yard")
    }
    return Events(payloads(), kept.outbox, views, lambda: next(seqs), threshold=0.5, labels=labels, **settings)


def test_schemas_when_published_then_each_is_a_schema_and_the_list_is_whole():
    found = {p.name for p in (files("edge") / "schemas").iterdir() if p.name.endswith(".json")}
    assert found == {f"{s.replace('/', '-')}.json" for s in SCHEMAS}
    for name in found:
        jsonschema.Draft202012Validator.check_schema(json.loads((files("edge") / "schemas" / name).read_text()))


@pytest.mark.parametrize("snapshots", [True, False])
def test_seen_when_no_pictures_are_told_then_none_is_kept(snapshots):
    kept, told = Kept(), []
    picture = (lambda frame, kind, _label: told.append((kind, frame.image.max()))) if snapshots else None
    events = make(kept, picture=picture)
    image = np.full((100, 200, 3), 7, np.uint8)
    alive = weakref.ref(image)

    events.seen(Frame("door", 1, image, T0, 0), detections((0, 0.9, [20, 10, 120, 60])), TIMING)
    del image

    assert (alive() is not None) == snapshots, "a camera's buffer is not kept from use"
    events.gone("door")
    assert [body["type"] for topic, body, _ in kept.all() if topic == "door/event"] == ["new", "end"]
    assert told == ([("new", 7), ("end", 7)] if snapshots else [])


def test_seen_when_an_object_comes_then_the_event_says_all_that_is_known():
    kept = Kept()
    make(kept, counts=False).seen(frame(5), detections((0, 0.875, [20, 10, 120, 60])), TIMING)

    ((topic, event, message),) = kept.all()

    assert_valid(event)
    assert (topic, message.qos, message.retain) == ("door/event", 1, False)
    assert event["captured_at"] == "2025-11-22T10:22:01.128456Z"
    assert event["frame"] == {"id": 5, "width": 200, "height": 100}
    assert event["object"] == {
        "track_id": None,
        "label": "person",
        "label_id": 0,
        "score": 0.875,
        "box": [0.1, 0.1, 0.6, 0.6],
        "top_score": 0.875,
        "area": 0.25,
        "count": 1,
        "zones": [],
        "entered_zones": [],
        "stationary": None,
        "start": "2025-11-22T10:22:01.128456Z",
        "end": None,
    }
    assert event["clock"] == {"synced": True, "source": "kernel", "error_ms": 1.5}
    assert event["timing"] == {"age_ms": 9995.0, "pre_ms": 1.0, "infer_ms": 2.0, "post_ms": 3.0}


def test_seen_when_labels_are_wanted_then_others_are_not_told():
    kept = Kept()
    events = make(kept, labels=("car",))
    events.seen(frame(), detections((0, 0.9, [0, 0, 9, 9]), (3, 0.8, [0, 0, 9, 9])), TIMING)

    assert [(t, b if isinstance(b, int) else b["object"]["label"]) for t, b, _ in kept.all()] == [
        ("door/event", "car"),
        ("door/count/car", 1),
    ]


def test_counts_when_labels_share_a_level_then_each_has_its_own_and_zero_is_told_first():
    kept = Kept()
    events = make(kept)
    events.open()
    events.seen(frame(), detections((1, 0.9, [0, 0, 9, 9]), (1, 0.8, [9, 9, 20, 20])), TIMING)
    events.gone("door")

    told = [(t, b) for t, b, m in kept.all() if "/count/" in t and t.startswith("door")]

    assert set(told) == {
        ("door/count/person", 0),
        ("door/count/traffic_light-1", 0),
        ("door/count/traffic_light-2", 0),
        ("door/count/car", 0),
    }, "of what is not sent yet only the newest waits"


def test_gone_when_a_camera_leaves_then_its_visits_end_and_others_stay():
    kept = Kept()
    events = make(kept, counts=False)
    for camera in ("door", "yard"):
        events.seen(frame(0, camera), detections((0, 0.9, [0, 0, 9, 9])), TIMING)
    events.gone("door")
    events.gone("door")

    assert [(t, b["type"]) for t, b, _ in kept.all()] == [
        ("door/event", "new"),
        ("yard/event", "new"),
        ("door/event", "end"),
    ]
    events.close()
    ((topic, event, _),) = kept.all()
    assert_valid(event)
    assert (topic, event["type"], event["seq"]) == ("yard/event", "end", 4)


def test_seen_when_a_class_changes_then_the_top_one_is_told():
    kept = Kept()
    events = make(kept, exclusive=True, counts=False)

    def classes(*pairs):
        return Classification(np.array([i for i, _ in pairs]), np.array([s for _, s in pairs], np.float32))

    events.seen(frame(0), classes((0, 0.9), (3, 0.8)), TIMING)
    events.seen(frame(10), classes((0, 0.7), (3, 0.2)), TIMING)
    events.seen(frame(20), classes((3, 0.6)), TIMING)
    events.seen(frame(30), classes((1, 0.4)), TIMING)

    told = kept.all()
    assert [(b["type"], b["object"]["label"]) for _, b, _ in told] == [
        ("new", "person"),
        ("end", "person"),
        ("new", "car"),
    ]
    for _, event, _ in told:
        assert_valid(event)
        assert event["object"]["box"] is None


def test_frames_when_asked_for_then_capped_and_never_kept():
    kept = Kept()
    events = make(kept, counts=False, frames_per_s=10.0)
    for ms in range(0, 1000, 20):
        events.seen(frame(1000 + ms), detections((0, 0.9, [0, 0, 9, 9])), TIMING)

    frames = [(b, m) for t, b, m in kept.all() if t == "door/frame"]

    assert len(frames) == 10
    for payload, message in frames:
        assert_valid(payload)
        assert message.qos == 0


def test_seen_when_a_frame_is_too_large_to_tell_then_it_is_given_up_and_the_next_is_not(monkeypatch):
    kept = Kept()
    events = make(kept, counts=False)
    monkeypatch.setattr("edge.message.MAX_PAYLOAD_BYTES", 100)
    events.seen(frame(0), detections((0, 0.9, [0, 0, 9, 9])), TIMING)
    monkeypatch.undo()
    events.seen(frame(10), detections((3, 0.9, [0, 0, 9, 9])), TIMING)

    assert events.dead == 1
    assert [b["object"]["label"] for _, b, _ in kept.all()] == ["car"]


def test_seen_when_objects_are_followed_then_each_has_its_own_events():
    kept = Kept()
    events = make(kept, follow=True, counts=False)
    events.seen(frame(0), detections((0, 0.9, [0, 0, 20, 40]), (0, 0.8, [100, 0, 120, 40])), TIMING)
    events.seen(frame(100), detections((0, 0.7, [4, 0, 24, 40])), TIMING)
    events.seen(frame(1100), detections((0, 0.7, [8, 0, 28, 40])), TIMING)

    told = [body for _, body, _ in kept.all()]
    for event in told:
        assert_valid(event)
    first, second, left = told
    assert [e["type"] for e in told] == ["new", "new", "end"]
    assert len({first["id"], second["id"]}) == 2
    assert all(e["object"]["track_id"] == e["id"] and e["object"]["stationary"] is False for e in told)
    assert (left["id"], left["object"]["count"]) == (second["id"], 1)
    assert first["object"]["count"] == second["object"]["count"] == 2


def test_counts_when_there_are_zones_then_each_zone_has_its_own_and_zero_first():
    kept = Kept()
    left = Zone("left", [(0, 0), (0.5, 0), (0.5, 1), (0, 1)], frozenset({0}))
    events = make(kept, follow=True, zones=[left])
    events.open()
    opened = {t for t, b, _ in kept.all() if t.startswith("door/zone/") and b == 0}
    events.seen(frame(0), detections((0, 0.9, [0, 0, 20, 40]), (0, 0.8, [100, 0, 120, 40])), TIMING)
    told = kept.all()
    events.gone("door")

    assert opened == {"door/zone/left/count/person"}
    assert ("door/zone/left/count/person", 1) in [(t, b) for t, b, _ in told]
    assert [b["object"]["zones"] for t, b, _ in told if t == "door/event"] == [["left"], []]
    assert ("door/zone/left/count/person", 0) in [(t, b) for t, b, _ in kept.all()]


def instances():
    found = detections((0, 0.9, [20, 10, 120, 60]))
    return Instances(found, found.boxes, np.ones((1, 14, 14), np.float32), 100, 200)


def segmentation():
    mask = np.zeros((100, 200), np.uint8)
    mask[50:] = 3
    return Segmentation(mask)


@pytest.mark.parametrize(
    ("result", "key", "label"),
    [
        (instances(), "mask", "person"),
        (segmentation(), "mask", "car"),
        (Poses(np.linspace([[50, 20, 0.9]], [[90, 80, 0.7]], 17, axis=1).astype(np.float32)), "keypoints", "person"),
    ],
)
def test_seen_when_a_model_gives_masks_or_joints_then_the_event_has_them(result, key, label):
    kept = Kept()
    events = make(kept, labels=(label,), follow=not isinstance(result, Segmentation), counts=False, frames_per_s=1)
    events.seen(frame(0), result, TIMING)

    told = [body for _, body, _ in kept.all()]
    for body in told:
        assert_valid(body)
    event = next(body for body in told if body["schema"] == "event/1.0")
    assert event["object"]["label"] == label
    assert event["object"][key]
    assert {"mask", "keypoints"} & event["object"].keys() == {key}


def test_seen_when_nothing_is_asked_for_then_the_background_is_no_event():
    kept = Kept()
    seqs = iter(range(1, 9))
    views = {"door": View(hold_s=1, cooldown_s=0)}
    events = Events(payloads(("background", "a", "b", "car")), kept.outbox, views, lambda: next(seqs), threshold=0.5)
    events.seen(frame(0), segmentation(), TIMING)

    assert [b["object"]["label"] for t, b, _ in kept.all() if t == "door/event"] == ["car"]

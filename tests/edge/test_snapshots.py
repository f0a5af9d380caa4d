"""Pictures that leave the node: how large, when, and what is never on them."""

import threading
import time

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.cameras.privacy import Masked, blacken
from edge.errors import CameraError, PermanentError
from edge.frame import Frame
from edge.reporting.jpeg import fitting_jpeg
from edge.reporting.snapshots import Snapshots


def noise(height=240, width=320, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def decoded(data):
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


def frame(camera="gate", image=None, number=0):
    return Frame(camera, number, noise() if image is None else image, 0, 0)


def until(condition, seconds=5):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


@pytest.fixture
def make():
    made = []

    def build(**more):
        sent = []
        settings = {"on": ("new",), "max_bytes": 20_000, "every_s": 0.0, "retain": False, **more}
        snapshots = Snapshots(["gate", "yard"], sent.append, lambda *levels: "/".join(levels), **settings)
        snapshots.start()
        made.append(snapshots)
        return snapshots, sent

    yield build
    for snapshots in made:
        assert snapshots.stop(2)


@settings(max_examples=30, deadline=None)
@given(st.integers(33, 500), st.integers(33, 500), st.integers(4096, 131_000), st.integers(0, 99))
def test_jpeg_when_a_bound_is_given_then_it_fits_and_is_a_picture(height, width, bound, seed):
    data = fitting_jpeg(noise(height, width, seed), bound)

    if data is None:
        assert min(height, width) * 0.75 < 64, "only what is small already cannot be made to fit"
    else:
        assert len(data) <= bound
        assert decoded(data).ndim == 3


def test_jpeg_when_there_is_room_then_the_quality_is_the_best_that_fits():
    image = cv2.GaussianBlur(noise(), (9, 9), 0)
    sizes = [len(fitting_jpeg(image, bound)) for bound in (6_000, 10_000, 14_000, 131_000)]

    assert sizes == sorted(sizes)
    assert sizes[0] > 4_500
    assert decoded(fitting_jpeg(image, 131_000)).shape == image.shape


def test_jpeg_when_nothing_fits_then_none():
    assert fitting_jpeg(noise(40, 40), 300) is None


def test_event_when_it_is_configured_then_its_picture_is_sent_once_in_a_while(make):
    now = [100.0]
    snapshots, sent = make(every_s=10.0, mono_s=lambda: now[0], retain=True)
    snapshots.changed(frame(), "new", "person")
    snapshots.changed(frame(), "new", "person")
    snapshots.changed(frame(), "end", "car")
    snapshots.changed(frame("yard"), "new", "person")
    until(lambda: len(sent) == 2)
    now[0] += 10
    snapshots.changed(frame(), "new", "person")
    until(lambda: len(sent) == 3)

    assert [m.topic for m in sent] == ["gate/snapshot/person", "yard/snapshot/person", "gate/snapshot/person"]
    assert all((m.qos, m.retain, m.importance.name) == (0, True, "C") for m in sent)
    assert all(len(m.body) <= 20_000 for m in sent)
    assert decoded(sent[0].body).shape == (180, 240, 3), "noise fits only when it is smaller"


def test_command_when_a_frame_comes_by_then_it_is_sent_and_the_cameras_own_memory_is_not_kept(make):
    snapshots, sent = make()
    image = np.zeros((64, 64, 3), np.uint8)
    thread = threading.Thread(target=lambda: snapshots.take("gate"))
    thread.start()
    until(lambda: snapshots._asked)
    snapshots.passed(frame("yard"))
    snapshots.passed(frame("gate", image))
    image[:] = 255
    thread.join(5)

    assert [m.topic for m in sent] == ["gate/snapshot/now"]
    assert decoded(sent[0].body).max() == 0
    assert not snapshots._asked


def test_command_when_no_frame_comes_or_it_is_switched_off_then_it_says_so(make, monkeypatch):
    monkeypatch.setattr("edge.reporting.snapshots._FRAME_WITHIN_S", 0.05)
    snapshots, sent = make()
    with pytest.raises(CameraError, match="gave no frame within"):
        snapshots.take("gate")
    with pytest.raises(CameraError, match="no camera is named nowhere"):
        snapshots.take("nowhere")
    snapshots.switch("gate", False)
    with pytest.raises(PermanentError, match="switched off"):
        snapshots.take("gate")
    snapshots.changed(frame(), "new", "person")
    time.sleep(0.05)
    assert not sent


def test_burst_when_pictures_come_faster_than_they_are_encoded_then_the_oldest_are_given_up(make):
    snapshots, sent = make()
    with snapshots._changed:
        for i in range(20):
            snapshots.changed(frame(number=i), "new", f"label{i}")
    until(lambda: len(sent) == 8)
    assert sent[-1].topic == "gate/snapshot/label19"


def test_mask_when_a_polygon_is_given_then_only_it_is_black():
    image = np.full((100, 200, 3), 200, np.uint8)
    found = blacken(image, [[(0.5, 0.0), (1.0, 0.0), (1.0, 0.5), (0.5, 0.5)]])

    assert found is image
    assert found[:50, 100:].max() == 0
    assert found[52:, :].min() == found[:, :98].min() == 200


def test_mask_when_the_memory_is_not_ours_then_a_copy_is_masked():
    image = np.full((10, 10, 3), 200, np.uint8)
    image.flags.writeable = False
    found = blacken(image, [[(0, 0), (1, 0), (1, 1), (0, 1)]])
    assert found.max() == 0
    assert image.min() == 200


def test_mask_when_a_source_is_masked_then_all_else_is_the_cameras_own():
    calls = []

    class Camera:
        def grab(self):
            return 7

        def retrieve(self, into=None):
            return np.full((10, 10, 3), 9, np.uint8) if into is None else into

        def close(self):
            calls.append("closed")

    class Source:
        refused = {"damaged": 2}  # noqa: RUF012 - never changed

        def __call__(self, opening):
            calls.append(opening)
            return Camera()

        def kill(self):
            calls.append("killed")

        def close(self):
            calls.append("ended")

    source = Masked(Source(), [[(0, 0), (1, 0), (1, 1), (0, 1)]])
    camera = source("opening")
    assert camera.grab() == 7
    assert camera.retrieve().max() == 0
    camera.close()
    assert source.refused == {"damaged": 2}
    source.kill()
    source.close()
    assert calls == ["opening", "closed", "killed", "ended"]

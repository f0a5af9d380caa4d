"""Live cameras, read by a process of their own: what it sends, what is done when it hangs, and what it leaves behind."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest
from camera_parts import opening, reading, until

from benchmarks.scoreboard.faulty import FAULTS, HttpCamera, RtspCamera
from edge.cameras.pattern import draw_pattern
from edge.cameras.process import HungError
from edge.cameras.ring import SLOTS, RingReader, RingWriter
from edge.cameras.source import source_for

SHAPE = (240, 320, 3)


def draw(number):
    return draw_pattern(number, np.empty(SHAPE, np.uint8))


@pytest.fixture(params=[HttpCamera, RtspCamera], ids=["http", "rtsp"])
def camera(request):
    made = request.param(draw)
    yield made
    made.close()


@pytest.fixture
def http():
    made = HttpCamera(draw, fps=50)
    yield made
    made.close()


def readers():
    children = psutil.Process().children(recursive=True)
    return [c for c in children if c.is_running() and "edge.cameras.child" in " ".join(c.cmdline())]


def test_process_when_frames_come_then_they_are_the_cameras_own_and_fresh(camera):
    with reading(camera.url) as (slots, watcher):
        until(lambda: watcher.frames > 10)
        while slots.take(0.01):
            pass
        frame = slots.take(5)
        age_s = (time.monotonic_ns() - frame.mono_ns) / 1e9
        shown = [draw(camera.sent - back) for back in range(4)]

    assert frame.image.shape == SHAPE
    assert age_s < 0.15
    nearest = min(np.abs(frame.image.astype(int) - s.astype(int)).mean() for s in shown)
    assert nearest < 3, "one of the pictures sent last, JPEG's loss aside"
    assert not frame.image.flags.writeable


@pytest.mark.parametrize(
    ("kind", "fault"),
    [*((HttpCamera, fault) for fault in FAULTS), *((RtspCamera, fault) for fault in ("stall", "cut-scan"))],
)
def test_process_when_a_stream_fails_then_no_frame_passes_it_is_told_in_time_and_it_comes_back(kind, fault):
    camera = kind(draw)
    try:
        _fails_and_returns(camera, fault)
    finally:
        camera.close()


def _fails_and_returns(camera, fault):
    with reading(camera.url, read_timeout_s=0.8, frozen_s=0.8, open_timeout_s=1.5) as (_, watcher):
        until(lambda: watcher.frames > 3)
        camera.set(fault)
        time.sleep(0.15)  # what was on its way
        frames, begun = watcher.frames, time.monotonic()
        until(lambda: watcher.state == "offline")
        assert time.monotonic() - begun < 4
        assert watcher.frames == frames
        word = {"drop": "broke off", "stall": "stalled", "freeze": "frozen"}.get(fault, "truncated")
        assert word in watcher.states[-1][1]
        assert watcher.steps[-1] == "reopen"
        camera.set("none")
        until(lambda: watcher.state == "online")
        until(lambda: watcher.frames > frames + 3)


def test_process_when_it_hangs_then_it_is_killed_and_another_reads_on(http):
    with reading(http.url, read_timeout_s=0.6) as (_, watcher):
        until(lambda: watcher.frames > 3)
        (first,) = readers()
        first.send_signal(signal.SIGSTOP)
        until(lambda: watcher.state == "offline")
        until(lambda: watcher.state == "online")
        (second,) = readers()
        assert second.pid != first.pid
        assert "restart" in watcher.steps
    assert not readers()


def test_process_when_it_is_killed_then_another_reads_on_and_its_pictures_stay(http):
    with reading(http.url) as (slots, watcher):
        until(lambda: watcher.frames > 3)
        kept = slots.take(5).image
        before = kept.copy()
        readers()[0].kill()
        until(lambda: watcher.state == "offline")
        assert "its reader was killed by SIGKILL" in watcher.states[-1][1]
        until(lambda: watcher.state == "online")
        frames = watcher.frames
        until(lambda: watcher.frames > frames + 3 * SLOTS)
        assert np.array_equal(kept, before)


def test_process_when_the_agent_is_killed_then_nothing_is_left(http):
    script = (
        "import sys, time\n"
        "from camera_parts import reading, until\n"
        "with reading(sys.argv[1]) as (_, watcher):\n"
        "    until(lambda: watcher.frames > 3)\n"
        "    print('reading', flush=True)\n"
        "    time.sleep(60)\n"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    with subprocess.Popen([sys.executable, "-c", script, http.url], stdout=subprocess.PIPE, env=env) as agent:
        assert agent.stdout.readline() == b"reading\n"
        (reader,) = psutil.Process(agent.pid).children()
        reader.send_signal(signal.SIGSTOP)  # hung, so that it cannot see for itself
        agent.kill()
    until(lambda: not reader.is_running() or reader.status() == psutil.STATUS_ZOMBIE)


def test_process_when_it_does_not_answer_then_that_is_told_from_a_camera_that_is_away(http):
    given = opening(http.url)
    source = source_for(given.settings)
    source(given).close()
    readers()[0].send_signal(signal.SIGSTOP)
    try:
        with pytest.raises(HungError):
            source(given)
    finally:
        source.kill()


def test_process_when_the_agent_keeps_every_picture_then_frames_come_on_and_none_changes(http):
    with reading(http.url) as (slots, watcher):
        kept = []
        while len(kept) < 3 * SLOTS:
            image = slots.take(5).image
            kept.append((image, image.copy()))
        until(lambda: watcher.frames > 4 * SLOTS)
    assert all(np.array_equal(image, copy) for image, copy in kept)


def test_process_when_it_reads_then_it_has_not_loaded_what_it_does_not_need(http):
    with reading(http.url) as (_, watcher):
        until(lambda: watcher.frames > 3)
        maps = "".join(m.path for m in readers()[0].memory_maps())
    assert "cv2" in maps
    assert not [name for name in ("pydantic_core", "onnxruntime") if name in maps]


def test_ring_when_a_view_of_a_view_is_kept_then_the_slot_is_not_given_back():
    writer = RingWriter(32, 48)
    reader = RingReader(writer.descriptor, 32, 48)
    writer.close()
    writer.slot(0)[:] = 7
    writer.lend(0)

    corner = reader.view(0)[4:8, 4:8][::2]

    assert writer.free() == 1
    assert (corner == 7).all()
    del corner
    assert writer.free() == 0
    assert reader.lent() == 0


@pytest.mark.parametrize("size", [(0, 10), (1 << 20, 1 << 20), (4000, 4000)])
def test_ring_when_it_is_not_what_was_said_then_it_is_refused(size):
    writer = RingWriter(32, 48)
    with pytest.raises(ValueError, match=r"size of a picture|shorter"):
        RingReader(writer.descriptor, *size)
    writer.close()

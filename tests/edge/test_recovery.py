"""What is judged of frames, what is done about a camera that fails, in times of their own; and the last resort for real."""

import json
import logging
import sys
import time

import numpy as np
import pytest
from camera_parts import opening, reading, until
from hypothesis import given
from hypothesis import strategies as st

from edge.cameras import v4l2
from edge.cameras.judge import Judge, check_size, digest
from edge.cameras.ladder import Ladder
from edge.cameras.lastresort import LastResort
from edge.clock import Clock
from edge.errors import CameraError

S = 10**9


def judge(**settings):
    found = Judge(**{"patience_s": 3, "frozen_s": 3, **settings})
    found.opened(0)
    return found


def test_judge_when_nothing_comes_then_patience_ends_after_its_time():
    stalled = judge()
    assert stalled.left_ns(0) == 3 * S
    assert stalled.fault(3 * S - 1) is None
    assert stalled.fault(3 * S) == "stalled: no frame for 3 s"


def test_judge_when_the_same_picture_comes_then_it_is_no_news_and_after_a_while_a_fault_also_when_opened_anew():
    frozen = judge()
    assert frozen.frame(7, 0, 0) == "new"
    for i in range(1, 31):
        assert frozen.frame(7, i * S // 10, i * S // 10) == "same"
    assert frozen.fault(3 * S) == "frozen: the same picture 31 times in 3 s"
    frozen.opened(4 * S)
    assert frozen.frame(7, 4 * S, 4 * S) == "same"
    assert frozen.frame(8, 5 * S, 5 * S) == "new"


def test_judge_when_a_still_picture_is_allowed_then_it_is_a_sign_of_life():
    still = judge(frozen_s=0)
    for i in range(100):
        assert still.frame(7, i * S, i * S) == "new"
        assert still.fault(i * S) is None
    assert still.fault(102 * S) == "stalled: no frame for 3 s"


def test_judge_when_frames_are_damaged_then_one_whole_one_is_enough_to_go_on():
    hurt = judge()
    hurt.damage("truncated", S)
    assert hurt.frame(1, 2 * S, 2 * S) == "new"
    hurt.damage("truncated", 3 * S)
    hurt.damage("truncated", 4 * S)
    assert hurt.fault(5 * S) == "no whole picture for 3 s: truncated (2 in a row)"
    assert hurt.damaged == 3


@pytest.mark.parametrize(("taken", "now"), [(5 * S, 4 * S), (1 * S, 30 * S), (-20 * S, 1 * S)])
def test_judge_when_a_time_stamp_is_absurd_then_the_frame_is_not_used(taken, now):
    assert judge().frame(1, taken, now) == "absurd"


def test_judge_when_time_runs_backwards_then_the_frame_is_not_used():
    back = judge()
    assert back.frame(1, 5 * S, 5 * S) == "new"
    assert back.frame(2, 4 * S, 6 * S) == "absurd"


@pytest.mark.parametrize("size", [(8, 640), (480, 4), (20_000, 100), (16_000, 16_000)])
def test_size_when_it_is_absurd_then_that_is_said(size):
    assert check_size(*size) == f"sent a picture of {size[1]}x{size[0]}"
    assert check_size(480, 640) is None


@given(st.integers(0, 99), st.integers(0, 9))
def test_digest_when_a_sensors_noise_changes_then_it_changes(seed, add):
    noise = np.random.default_rng(seed).integers(0, 255, (120, 160, 3)).astype(np.uint8)
    other = np.random.default_rng(seed + 1 + add).integers(0, 255, (120, 160, 3)).astype(np.uint8)
    assert digest(noise) == digest(noise.copy())
    assert digest(noise) != digest(other)


def climb(ladder, times, *, gap_s=5.0, hung=False):
    return [ladder.failed(i * gap_s, hung=hung) for i in range(times)]


def test_ladder_when_a_live_camera_fails_on_then_it_climbs_rung_by_rung_and_never_waits_long():
    steps = climb(Ladder(reader=True, chance=lambda: 1.0), 30)

    assert [s.rung for s in steps[:4]] == ["reopen", "restart", "down", "down"]
    assert [s.kill for s in steps[:3]] == [False, True, False]
    assert max(s.wait_s for s in steps) <= 4
    assert 3 <= sum(s.kill for s in steps[3:]) <= 6, "now and then its reader is started anew"


def test_ladder_when_the_reader_hangs_then_it_is_killed_at_once():
    first, second = climb(Ladder(reader=True), 2, hung=True)

    assert (first.rung, first.kill) == ("restart", True)
    assert (second.rung, second.kill) == ("down", True)


def test_ladder_when_a_camera_works_for_a_moment_only_then_it_climbs_on_and_comes_down_after_ten_good_seconds():
    ladder = Ladder(reader=True)
    rungs = []
    for i in range(3):
        rungs.append(ladder.failed(i * 4.0).rung)
        ladder.worked(i * 4.0 + 1)
        ladder.worked(i * 4.0 + 3)
    assert rungs == ["reopen", "restart", "down"]

    ladder.worked(30)
    ladder.worked(41)
    assert ladder.failed(42).rung == "reopen"


def test_ladder_when_there_is_no_reader_then_there_is_none_to_kill():
    assert [(s.rung, s.kill) for s in climb(Ladder(reader=False), 3)] == [
        ("reopen", False),
        ("down", False),
        ("down", False),
    ]


def test_ladder_when_a_camera_stays_away_then_help_is_called_each_time_it_had_its_time():
    steps = climb(Ladder(reader=True, help_after_s=60), 40)

    assert [i * 5 for i, s in enumerate(steps) if s.rung == "command"] == [60, 120, 180]


def resort(tmp_path, *words, per_day=2, after_s=0):
    return LastResort(words, after_s=after_s, per_day=per_day, record=tmp_path / "state" / "recovery-c.json")


def test_last_resort_when_its_budget_is_spent_then_it_is_not_run_also_after_a_restart(tmp_path):
    log = tmp_path / "log"
    command = (sys.executable, "-c", f"open({str(log)!r}, 'a').write('x')")

    said = [resort(tmp_path, *command).take(Clock()) for _ in range(3)]

    assert said[0].endswith("which ended with 0")
    assert "which is its budget" in said[2]
    assert log.read_text() == "xx"
    day_later = Clock(wall_ns=lambda: time.time_ns() + 86_500 * S)
    assert "ended with 0" in resort(tmp_path, *command).take(day_later)


def test_last_resort_when_the_wall_clock_was_wrong_then_the_future_counts_as_well(tmp_path):
    resort(tmp_path, "true", per_day=1).take(Clock(wall_ns=lambda: 10**19))
    assert "budget" in resort(tmp_path, "true", per_day=1).take(Clock())


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("/nowhere/reset",), "reset cannot be run: No such file or directory"),
        ((sys.executable, "-c", "raise SystemExit(3)"), "which ended with 3"),
    ],
)
def test_last_resort_when_the_command_fails_then_that_is_told(tmp_path, command, said):
    assert said in resort(tmp_path, *command).take(Clock())


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b'{"a": 1}', b'["x", null, 1e400]'])
def test_last_resort_when_its_record_is_damaged_then_nothing_breaks(tmp_path, content):
    last = resort(tmp_path, "true")
    last._record.parent.mkdir()
    last._record.write_bytes(content)
    logging.getLogger("edge").disabled = True
    assert isinstance(last.take(Clock()), str)


def test_last_resort_when_its_record_cannot_be_written_then_the_command_is_not_run(tmp_path):
    (tmp_path / "state").write_text("a file where a folder should be")
    assert "its budget not be kept" in resort(tmp_path, "true").take(Clock())


def test_reader_when_a_camera_stays_away_then_the_command_is_run_and_told(tmp_path):
    last = LastResort(("true",), after_s=0.5, per_day=1, record=tmp_path / "r.json")
    with reading(tmp_path / "nope.avi", last_resort=last) as (_, watcher):
        until(lambda: "command" in watcher.steps)
    assert watcher.steps[:2] == ["reopen", "down"]
    assert watcher.states[watcher.steps.index("command")][1].endswith("; ran true, which ended with 0")
    assert len(json.loads((tmp_path / "r.json").read_text())) == 1


class Recorded:
    """Stands in for OpenCV's capture of a device that is not here."""

    def __init__(self, _opening, source, *_rest):
        self.sources.append(source)

    def set(self, *_):
        return True

    def undecoded(self, *_):
        pass

    def close(self):
        pass


def test_v4l2_when_a_camera_is_plugged_in_elsewhere_then_its_stable_path_leads_to_it(tmp_path, monkeypatch):
    monkeypatch.setattr(v4l2, "Capture", Recorded)
    monkeypatch.setattr(Recorded, "sources", [], raising=False)
    by_id = tmp_path / "v4l" / "by-id" / "usb-046d_C920-video-index0"
    by_id.parent.mkdir(parents=True)
    for device in ("/dev/null", "/dev/zero"):  # character devices that every machine has
        by_id.unlink(missing_ok=True)
        by_id.symlink_to(device)
        v4l2.open_v4l2(opening(by_id, kind="v4l2")).close()

    assert Recorded.sources == ["/dev/null", "/dev/zero"]
    by_id.unlink()
    with pytest.raises(CameraError, match="no such camera; plug it in"):
        v4l2.open_v4l2(opening(by_id, kind="v4l2"))


def test_v4l2_when_a_device_is_no_camera_then_opencv_says_so(tmp_path):
    link = tmp_path / "cam"
    link.symlink_to("/dev/null")
    with pytest.raises(CameraError, match=r"cam: busy, or not a camera"):
        v4l2.open_v4l2(opening(link, kind="v4l2"))

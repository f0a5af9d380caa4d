"""Bench: its figures are of frames that really went the whole way."""

import json

import pytest
from bundles import detection_bundle, squares_video

from edge.cli import main

pytestmark = pytest.mark.alone

STAGES = {"decode", "prepare", "infer", "results", "publish"}


@pytest.fixture
def bundle(tmp_path, monkeypatch):
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    return detection_bundle(tmp_path / "squares")


def test_bench_when_json_is_asked_then_every_stage_has_its_percentiles(bundle, capsys):
    assert main(["bench", str(bundle), "--seconds", "0.5", "--threads", "1", "--json"]) == 0

    found = json.loads(capsys.readouterr().out)
    assert found["latency_ms"].keys() == STAGES
    assert all(0 < ranks["p50"] <= ranks["p90"] <= ranks["max"] for ranks in found["latency_ms"].values())
    in_stages_s = sum(ranks["p50"] for ranks in found["latency_ms"].values()) / 1e3
    assert found["fps"] <= found["infer_fps"]
    assert found["frames"] / found["fps"] == pytest.approx(found["seconds"], rel=0.05)
    # Half of the values are the median or more, so that a stage's whole time is at least half of median times frames.
    assert in_stages_s * found["frames"] / 2 < found["seconds"] * 1.05
    assert (found["threads"], found["provider"]) == (1, "CPUExecutionProvider")
    assert found["memory_mb"]["now"] <= found["memory_mb"]["most"]


def test_bench_when_a_video_is_short_then_it_is_read_over_and_over(bundle, tmp_path, capsys):
    video = squares_video(tmp_path / "v.avi", [{"red": (10, 10, 40)}] * 3)

    assert main(["bench", str(bundle), "--source", str(video), "--seconds", "0.5", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["frames"] > 3
    assert found["source"] == str(video)


def test_bench_when_a_person_reads_it_then_it_is_a_table(bundle, capsys):
    assert main(["bench", str(bundle), "--seconds", "0.2", "--size", "320x240"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("test-detection (fp32) on CPUExecutionProvider, ")
    assert lines[1].split() == ["stage,", "ms", "p50", "p90", "p99", "max"]
    assert {line.split()[0] for line in lines[2:7]} == STAGES
    assert "frames a second" in lines[-1]


def test_bench_when_the_source_is_not_there_then_it_says_so(bundle, tmp_path, capsys):
    assert main(["bench", str(bundle), "--source", str(tmp_path / "no.avi")]) == 1
    assert "no.avi" in capsys.readouterr().err


@pytest.mark.parametrize("size", ["1280", "0x4", "axb", "99999x2"])
def test_bench_when_the_size_is_none_then_it_is_wrong_usage(bundle, capsys, size):
    with pytest.raises(SystemExit, match="2"):
        main(["bench", str(bundle), "--size", size])
    assert "is not a width and a height" in capsys.readouterr().err

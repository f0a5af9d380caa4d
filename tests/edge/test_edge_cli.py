"""The commands: what they print, how they end, and how quickly they start."""

import json
import subprocess
import sys
import time
from pathlib import Path

import bundles
import cv2
import numpy as np
import pytest

from edge import __version__
from edge.cli import main


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    return bundles.detection_bundle(tmp_path_factory.mktemp("cli") / "det")


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "street.png"
    cv2.imwrite(str(path), bundles.squares_picture(200, 160, {"red": (20, 30, 48), "blue": (120, 80, 64)}))
    return path


def edge(capsys, *args):
    try:
        status = main([str(a) for a in args])
    except SystemExit as e:
        status = e.code
    out = capsys.readouterr()
    return status, out.out, out.err


def test_predict_when_json_is_asked_then_it_is_the_documented_object(capsys, detector, picture):
    status, out, _ = edge(capsys, "predict", detector, picture, "--json")

    found = json.loads(out)
    assert status == 0
    assert found.keys() == {"image", "model", "width", "height", "results"}
    assert (found["image"], found["model"], found["width"], found["height"]) == (
        str(picture),
        "test-detection",
        200,
        160,
    )
    by_label = {r["label"]: r for r in found["results"]}
    assert by_label.keys() == {"red", "blue"}
    assert by_label["red"].keys() == {"label", "label_id", "score", "box"}
    assert by_label["red"]["box"] == pytest.approx([20, 30, 68, 78], abs=2)
    assert by_label["blue"]["box"] == pytest.approx([120, 80, 184, 144], abs=2)


def test_predict_when_drawing_then_a_picture_lies_in_the_folder(capsys, detector, picture, tmp_path):
    twin = tmp_path / "other" / "street.jpg"
    twin.parent.mkdir()
    twin.write_bytes(picture.read_bytes())

    status, out, _ = edge(capsys, "predict", detector, picture, twin, "--draw", tmp_path / "drawn")

    assert status == 0
    assert "red" in out
    drawn = sorted(p.name for p in (tmp_path / "drawn").iterdir())
    assert drawn == ["street-2.jpg", "street.jpg"]
    image = cv2.imread(str(tmp_path / "drawn" / "street.jpg"))
    assert image.shape == (160, 200, 3)
    assert np.abs(image.astype(int) - cv2.imread(str(picture))).max() > 100


def test_predict_when_an_image_cannot_be_read_then_it_is_named_and_the_others_are_done(
    capsys, detector, picture, tmp_path
):
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"\xff\xd8\xff damaged")
    empty = tmp_path / "empty.jpg"
    empty.write_bytes(b"")

    status, out, err = edge(capsys, "predict", detector, bad, empty, tmp_path / "none.jpg", picture, "--json")

    assert status == 1
    assert json.loads(out)["image"] == str(picture)
    lines = err.splitlines()
    assert [line.split(": ")[2] for line in lines] == [str(bad), str(empty), str(tmp_path / "none.jpg")]
    assert all(line.startswith("gluon-edge: error: ") for line in lines)


def test_predict_when_a_threshold_is_given_then_it_counts_and_not_the_bundles(capsys, detector, tmp_path):
    pale = np.full((160, 160, 3), 90, np.uint8)
    pale[32:128, 32:128] = (60, 210, 60)
    cv2.imwrite(str(tmp_path / "pale.png"), pale)

    def labels(*more):
        out = edge(capsys, "predict", detector, tmp_path / "pale.png", "--json", *more)[1]
        return [r["label"] for r in json.loads(out)["results"]]

    assert labels() == ["green"]
    assert labels("--threshold", "0.7") == []


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["predict", "no-bundle", "x.jpg"], "no-bundle: no such bundle; make one with 'gluon-export convert'"),
        (["bundle", "info", "no-bundle"], "no-bundle: no such bundle"),
        (["run", "-c", "no.toml"], "no.toml: no such file; docs/configuration.md shows one to start from"),
        (["config", "check", "-c", "no.toml"], "no.toml: no such file"),
        (["watch", "--broker", "http://x"], "--broker: a broker looks like mqtt://host:1883"),
    ],
)
def test_main_when_a_thing_is_not_there_then_one_line_and_1(capsys, args, message):
    status, out, err = edge(capsys, *args)

    assert (status, out) == (1, "")
    assert err.startswith(f"gluon-edge: error: {message}")
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["fly"],
        ["predict"],
        ["run"],
        ["predict", "b", "i", "--threshold", "7"],
        ["bundle"],
        ["watch", "--count", "0"],
        ["dead"],
        ["dead", "show", "n1.spool"],
        ["dead", "drop", "n1.spool", "first"],
    ],
)
def test_main_when_the_usage_is_wrong_then_2(capsys, args):
    status, _, err = edge(capsys, *args)

    assert status == 2
    assert "usage: gluon-edge" in err


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["run"],
        ["predict"],
        ["watch"],
        ["bundle"],
        ["bundle", "info"],
        ["bundle", "verify"],
        ["bundle", "test"],
        ["config"],
        ["config", "check"],
        ["config", "show"],
        ["config", "schema"],
        ["dead"],
        ["dead", "list"],
        ["dead", "show"],
        ["dead", "retry"],
        ["dead", "drop"],
    ],
)
def test_help_when_asked_then_it_ends_with_an_example_that_starts_like_the_command(capsys, args):
    status, out, _ = edge(capsys, *args, "-h")

    assert status == 0
    assert f"example: gluon-edge {' '.join(args)}".rstrip() in out


def test_version_when_asked_then_it_is_the_packages(capsys):
    assert edge(capsys, "--version")[1] == f"gluon-edge {__version__}\n"


def test_bundle_info_verify_and_test_when_it_is_good_then_they_say_so(capsys, detector):
    _, info, _ = edge(capsys, "bundle", "info", detector, "--json")
    assert json.loads(info)["labels"] == list(bundles.LABELS)
    status, out, _ = edge(capsys, "bundle", "verify", detector)
    assert (status, "4 files match their SHA-256" in out) == (0, True)
    status, out, _ = edge(capsys, "bundle", "test", detector, "--json")
    assert (status, json.loads(out)["ok"]) == (0, True)
    assert edge(capsys, "bundle", "info", detector)[1].startswith("test-detection 1.0.0: detection, fp32")


def test_bundle_verify_when_a_byte_differs_then_the_file_is_named(capsys, tmp_path):
    bundle = bundles.detection_bundle(tmp_path / "b")
    model = bytearray((bundle / "model.onnx").read_bytes())
    model[100] ^= 1
    (bundle / "model.onnx").write_bytes(model)

    status, _, err = edge(capsys, "bundle", "verify", bundle)

    assert status == 1
    assert "model.onnx does not match its SHA-256" in err


def test_bundle_test_when_it_computes_another_thing_then_1_and_what_differs(capsys, tmp_path):
    wrong = bundles.golden_files(
        np.zeros((32, 32, 3), np.uint8), [{"label_id": 2, "score": 1.0}], threshold=0.5, score=0.01, box_px=0
    )
    outputs = [{"name": "scores", "dtype": "float32", "shape": ["N", 3], "meaning": "softmax"}]
    bundle = bundles.write_bundle(tmp_path / "b", bundles.classifier(), "classification", 32, outputs, wrong)

    status, out, err = edge(capsys, "bundle", "test", bundle)

    assert status == 1
    assert out.startswith("expected blue 1.000, found 0.333\n")
    assert "the golden sample does not come out on this device" in err


def test_config_when_it_is_good_then_check_show_and_schema_say_so(capsys, tmp_path):
    path = tmp_path / "agent.toml"
    path.write_text('[model]\nbundle = "b"\n[cameras.a]\nsource = 0\n')

    assert edge(capsys, "config", "check", "-c", path) == (0, f"{path}: good\n", "")
    assert "cameras.a.source = 0\n" in edge(capsys, "config", "show", "-c", path)[1]
    assert json.loads(edge(capsys, "config", "show", "-c", path, "--json")[1])["cameras"]["a"]["source"] == 0
    assert "cameras" in json.loads(edge(capsys, "config", "schema")[1])["properties"]


def test_config_check_when_it_is_bad_then_every_problem_has_a_line(capsys, tmp_path):
    path = tmp_path / "agent.toml"
    path.write_text('[model]\nbundel = "b"\n[cameras.a]\nsource = 0\n')

    status, out, err = edge(capsys, "config", "check", "-c", path)

    assert (status, out) == (1, "")
    assert err.splitlines() == [
        f"gluon-edge: error: {path}: model.bundel: unknown key; did you mean 'bundle'?",
        f"gluon-edge: error: {path}: model.bundle: is missing",
    ]
    assert json.loads(edge(capsys, "config", "check", "-c", path, "--json")[1])["ok"] is False


def test_help_when_the_process_is_fresh_then_no_heavy_library_is_imported():
    code = (
        "import sys\n"
        "from edge.cli import main\n"
        "try: main(['-h'])\n"
        "except SystemExit: pass\n"
        "heavy = {'cv2', 'numpy', 'onnxruntime', 'pydantic', 'paho'} & sys.modules.keys()\n"
        "assert not heavy, heavy\n"
    )
    begun = time.monotonic()

    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, cwd=Path(__file__).parents[2])

    assert time.monotonic() - begun < 5


def test_predict_when_the_reader_of_its_output_leaves_then_it_ends_quietly(detector, picture):
    process = subprocess.Popen(
        [sys.executable, "-m", "edge", "predict", detector, *[picture] * 50],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()

    assert process.wait(30) == 1
    assert process.stderr.read() == b""
    process.stderr.close()

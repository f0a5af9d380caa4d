"""`gluon-export` as its users and their scripts meet it: documents, exit codes, one-line errors."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from street import ROOT, STREET

from edge.bundle.bundle import read_bundle
from export.cli import main
from export.pack import drawn_image


@pytest.fixture
def cli(capsys):
    """Run a command in this process: exit code, stdout, stderr."""

    def run(*args):
        try:
            code = main([str(a) for a in args])
        except SystemExit as e:
            code = e.code
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture(scope="module")
def pictures(street, tmp_path_factory):
    """A folder of drawn pictures, each with its own colours."""
    folder = tmp_path_factory.mktemp("pictures")
    spec = read_bundle(street).manifest.input
    base = drawn_image(spec)
    for i in range(6):
        picture = (
            np.roll(base, (17 * i, 40 * i), (0, 1)) if i % 2 else np.ascontiguousarray(base[:, ::-1]) // (1 + i // 2)
        )
        cv2.imwrite(str(folder / f"{i}.png"), picture)
    return folder


def _replaced(arguments, **changes):
    found = list(arguments)
    for option, value in changes.items():
        found[found.index(f"--{option}") + 1] = str(value)
    return found


def _line(err):
    """The one line of an error, without progress."""
    lines = [line for line in err.splitlines() if line.startswith("gluon-export: error: ")]
    assert len(lines) == 1, err
    assert "Traceback" not in err
    return lines[0]


def test_convert_when_the_demo_model_is_given_then_writes_a_bundle_that_holds_its_source(street):
    bundle = read_bundle(street)
    m = bundle.manifest
    assert (m.task, m.precision, m.classes, m.input.height, m.input.width) == ("detection", "fp32", 2, 288, 384)
    assert [o.name for o in m.outputs] == ["boxes", "scores", "labels", "count"]
    assert m.opset >= 17
    assert set(m.source.sha256) == {"symbol", "params"}
    assert (street / "source" / "model-symbol.json").is_file()
    assert not any(name.startswith("source") for name in m.files)


def test_verify_when_the_bundle_is_float_then_compares_with_mxnet(cli, street):
    code, out, _ = cli("verify", street, "--json")
    found = json.loads(out)
    assert code == 0
    assert found["ok"]
    assert {o["name"] for o in found["outputs"]} >= {"boxes", "scores"}
    assert all(o["max_abs"] <= o["tolerance"] for o in found["outputs"])
    assert found["first_divergence"] is None


def test_verify_when_the_weights_are_not_those_of_the_source_then_fails(cli, street, tmp_path):
    copy = shutil.copytree(street, tmp_path / "b")
    params = copy / "source" / "model-0000.params"
    params.write_bytes(params.read_bytes()[:-1] + b"\x00")
    code, _, err = cli("verify", copy)
    assert code == 1
    assert "is not the file this bundle was made from" in _line(err)


def test_verify_when_the_model_computes_something_else_then_fails(cli, tmp_path):
    """The bundle of a net whose normalization is wrong, with a manifest that says it is right."""
    args = _replaced(STREET, std="0.229,0.224,0.325")
    assert cli("convert", *args, "-o", tmp_path / "b")[0] == 0
    manifest = json.loads((tmp_path / "b" / "manifest.json").read_text())
    manifest["source"]["normalization"]["std"] = [0.229, 0.224, 0.225]
    (tmp_path / "b" / "manifest.json").write_text(json.dumps(manifest))
    code, out, _ = cli("verify", tmp_path / "b", "--json")
    assert code == 1
    assert not json.loads(out)["ok"]


def test_quantize_when_the_gate_holds_then_writes_a_smaller_bundle_with_the_report(cli, street, pictures, tmp_path):
    out_dir = tmp_path / "int8"
    code, out, err = cli(
        "quantize", street, "--calibration", pictures, "--max-drop", "1", "--force", "-o", out_dir, "--json"
    )
    assert code in {0, 1}, err  # on a busy or old machine int8 need not be faster; --force writes it all the same
    bundle = read_bundle(out_dir)
    assert bundle.manifest.precision == "int8"
    assert len(bundle.model) < 0.4 * len(read_bundle(street).model)
    report = bundle.json("report.json")
    assert report["gate"]["accuracy"]["images"] > 0
    assert json.loads(out)["report"] == report
    code, out, _ = cli("verify", out_dir, "--json")
    assert (code, json.loads(out)["against"]) == (0, "golden")


def test_pack_when_done_then_the_device_reads_it(cli, street, tmp_path):
    code, out, _ = cli("pack", street, "-o", tmp_path / "x" / "street.zip", "--json")
    assert code == 0
    assert json.loads(out)["digest"] == read_bundle(tmp_path / "x" / "street.zip").digest


@pytest.mark.parametrize("what", ["bundle", "onnx", "symbol"])
def test_inspect_when_given_any_of_the_three_then_tells_what_is_in_it(cli, street, what):
    path = {
        "bundle": street,
        "onnx": street / "model.onnx",
        "symbol": ROOT / "examples" / "street_ssd" / "street_ssd-symbol.json",
    }[what]
    code, out, _ = cli("inspect", path, "--json")
    assert code == 0
    found = json.loads(out)
    assert found.get("task") == "detection" or found["operators"]
    assert cli("inspect", path)[1].count("\n") > 3


def test_zoo_list_when_asked_for_a_task_then_lists_only_that(cli):
    code, out, _ = cli("zoo", "list", "--task", "detection", "--json")
    rows = json.loads(out)
    assert code == 0
    assert {r["task"] for r in rows} == {"detection"}
    assert "ssd_512_mobilenet1.0_voc" in {r["name"] for r in rows}


def test_convert_when_a_zoo_net_has_random_weights_then_equals_mxnet(cli, tmp_path):
    assert cli("convert", "squeezenet1.1", "--random", 3, "-o", tmp_path / "b")[0] == 0
    bundle = read_bundle(tmp_path / "b")
    assert (bundle.manifest.task, len(bundle.labels), bundle.manifest.input.resize) == ("classification", 1000, "crop")
    code, out, _ = cli("verify", tmp_path / "b", "--json")
    assert code == 0, out


def test_convert_when_the_output_is_somebody_elses_folder_then_leaves_it_alone(cli, tmp_path):
    (tmp_path / "precious.txt").write_text("mine")
    code, _, err = cli("convert", *STREET, "-o", tmp_path)
    assert code == 1
    assert "is not a bundle" in _line(err)
    assert [p.name for p in tmp_path.iterdir()] == ["precious.txt"]


def test_convert_when_the_output_holds_somebody_elses_manifest_then_leaves_it_alone(cli, tmp_path):
    (tmp_path / "manifest.json").write_text('{"name": "my web app"}')
    (tmp_path / "thesis.txt").write_text("mine")
    code, _, err = cli("convert", *STREET, "-o", tmp_path)
    assert code == 1
    assert "is not a bundle" in _line(err)
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_convert_when_a_file_was_added_to_the_old_bundle_then_it_is_not_lost(cli, street, tmp_path):
    copy = shutil.copytree(street, tmp_path / "b")
    (copy / "notes.txt").write_text("mine")
    assert cli("convert", *STREET, "-o", copy)[0] == 1
    assert (copy / "notes.txt").read_text() == "mine"


def test_convert_when_the_output_is_a_link_then_the_bundle_behind_it_is_replaced(cli, street, tmp_path):
    shutil.copytree(street, tmp_path / "v1")
    (tmp_path / "current").symlink_to("v1")
    assert cli("convert", *STREET, "--name", "other", "-o", tmp_path / "current")[0] == 0
    assert (tmp_path / "current").is_symlink()
    assert read_bundle(tmp_path / "v1").manifest.name == "other"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["current", "v1"]


def test_convert_when_interrupted_between_the_two_renames_then_the_old_bundle_is_back(street, tmp_path, monkeypatch):
    copy = shutil.copytree(street, tmp_path / "b")
    before = read_bundle(copy).digest
    real = Path.rename

    def interrupted(self, target):
        if not self.name.startswith(".b.old") and Path(target).name == "b":
            raise KeyboardInterrupt
        return real(self, target)

    monkeypatch.setattr(Path, "rename", interrupted)
    assert main(["convert", *STREET, "--name", "other", "-o", str(copy)]) == 130
    assert read_bundle(copy).digest == before
    assert [p.name for p in tmp_path.iterdir()] == ["b"]


@pytest.mark.parametrize("out", ["/proc/x/y", "{file}/sub", "{long}"])
def test_convert_when_the_output_cannot_be_written_then_one_line_says_so(cli, tmp_path, out):
    (tmp_path / "file").write_text("x")
    code, _, err = cli("convert", *STREET, "-o", out.format(file=tmp_path / "file", long=tmp_path / ("x" * 300)))
    assert code == 1
    assert "unexpected" not in _line(err)


def test_labels_when_saved_by_windows_then_neither_mark_nor_empty_lines_get_into_the_bundle(cli, tmp_path):
    (tmp_path / "labels.txt").write_bytes(b"\xef\xbb\xbfperson\r\nvehicle\r\n\r\n")
    code, _, err = cli("convert", *_replaced(STREET, labels=tmp_path / "labels.txt"), "-o", tmp_path / "b")
    assert code == 0, err
    assert read_bundle(tmp_path / "b").labels == ("person", "vehicle")


def test_convert_when_the_symbol_has_a_name_with_spaces_then_the_bundle_has_one_without(cli, tmp_path):
    shutil.copy(STREET[1], tmp_path / "my net-symbol.json")
    code, _, err = cli("convert", *_replaced(STREET, symbol=tmp_path / "my net-symbol.json"), "-o", tmp_path / "b")
    assert code == 0, err
    assert read_bundle(tmp_path / "b").manifest.name == "my-net"


def test_convert_when_it_fails_then_the_older_bundle_stays(cli, street, tmp_path):
    copy = shutil.copytree(street, tmp_path / "b")
    before = read_bundle(copy).digest
    code, _, _ = cli("convert", *_replaced(STREET, labels="one,two,three"), "-o", copy)
    assert code == 1
    assert read_bundle(copy).digest == before
    assert [p.name for p in tmp_path.iterdir()] == ["b"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            {"params": "/nonexistent/net-0000.params"},
            ["/nonexistent/net-0000.params", "give the path of an existing file"],
        ),
        ({"symbol": "/nonexistent/net-symbol.json"}, ["/nonexistent/net-symbol.json"]),
        ({"symbol": str(ROOT / "pyproject.toml")}, ["pyproject.toml", "not a symbol file"]),
        ({"params": str(ROOT / "pyproject.toml")}, ["pyproject.toml"]),
        ({"labels": "a,b,c"}, ["3", "2"]),
        ({"labels": "missing/labels.txt"}, ["missing/labels.txt", "no such file"]),
        ({"labels": "person,"}, ["label"]),
    ],
)
def test_convert_when_an_argument_is_wrong_then_one_line_names_it(cli, tmp_path, change, says):
    code, _, err = cli("convert", *_replaced(STREET, **change), "-o", tmp_path / "b")
    assert code == 1
    line = _line(err)
    assert all(word in line for word in says), line
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("keep", [0, 4, 100, 5000, -1])
def test_convert_when_the_params_are_truncated_then_one_line_names_the_file(cli, tmp_path, keep):
    whole = (ROOT / "examples" / "street_ssd" / "street_ssd-0000.params").read_bytes()
    (tmp_path / "cut.params").write_bytes(whole[:keep])
    code, _, err = cli("convert", *_replaced(STREET, params=tmp_path / "cut.params"), "-o", tmp_path / "b")
    assert code == 1
    assert "cut.params" in _line(err)


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["convert", "-o", "x"], "name a zoo net"),
        (["convert", "squeezenet1.1", "-o", "x"], "which weights"),
        (["convert", "squeezenet9", "--random", "1", "-o", "x"], "squeezenet9"),
        (["convert", "--symbol", "s.json", "-o", "x"], "also needs --params, --task, --input, --labels"),
        (["verify", "nothing-here"], "nothing-here"),
        (["evaluate", "nothing-here", "--data", "coco:a:b"], "nothing-here"),
        (["inspect", "nothing.onnx"], "nothing.onnx"),
    ],
)
def test_commands_when_something_is_missing_then_one_line_says_what(cli, args, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = cli(*args)
    assert code == 1
    assert says in _line(err)


@pytest.mark.parametrize(
    "args",
    [
        ["convert", "--input", "wide"],
        ["convert", "--mean", "1,2"],
        ["convert", "--mean", "inf,0,0"],
        ["convert", "--scale", "nan"],
        ["convert", "--name", "my net"],
        ["quantize", "b", "--calibration", "c", "--max-drop", "2", "-o", "x"],
        ["nonsense"],
        [],
    ],
)
def test_usage_when_wrong_then_exit_code_2(cli, args):
    assert cli(*args)[0] == 2


@pytest.mark.parametrize("command", ["convert", "quantize", "verify", "evaluate", "pack", "inspect", "zoo"])
def test_help_when_asked_then_shows_an_example(cli, command):
    code, out, _ = cli(command, "-h")
    assert code == 0
    assert f"example:\n  gluon-export {command}" in out


def test_pretrained_when_offline_then_names_file_and_folder(cli, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    code, _, err = cli("convert", "squeezenet1.1", "--pretrained", "-o", tmp_path / "b")
    assert code == 1
    line = _line(err)
    assert "squeezenet1.1-" in line
    assert ".params" in line
    assert str(tmp_path) in line


def test_unreadable_pictures_when_calibrating_then_are_named(cli, street, tmp_path):
    (tmp_path / "bad.jpg").write_bytes(b"not a picture")
    code, _, err = cli("quantize", street, "--calibration", tmp_path, "-o", tmp_path / "x")
    assert code == 1
    assert "bad.jpg" in _line(err)


def test_the_command_when_run_as_a_process_then_imports_neither_mxnet_nor_gluoncv_to_convert(tmp_path):
    script = (
        "import sys; from export.cli import main; code = main(sys.argv[1:]);"
        "loaded = {'mxnet', 'gluoncv', 'pandas'} & set(sys.modules); sys.exit(code or (f'imported {loaded}' if loaded else 0))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "convert", *STREET, "-o", str(tmp_path / "b")],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr

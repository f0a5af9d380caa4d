"""`convert --raw`, and nets whose results no task of a bundle expresses."""

import json

import numpy as np
import onnx
import pytest
from small_model import write_model

from export import cli, raw, zoo
from export.run_onnx import run_model


def run(*args):
    return cli.main([str(arg) for arg in args])


def test_convert_when_the_net_tells_depths_then_raw_writes_a_file_that_equals_mxnet_and_says_so(tmp_path, capsys):
    out = tmp_path / "depth.onnx"
    args = [
        "convert",
        "monodepth2_resnet18_kitti_mono_640x192",
        "--random",
        1,
        "--input",
        "64x64",
        "--raw",
        "-o",
        out,
        "--json",
    ]
    assert run(*args) == 0
    document = json.loads(capsys.readouterr().out)
    model = onnx.load(out)
    onnx.checker.check_model(model, full_check=True)
    assert json.loads({item.key: item.value for item in model.metadata_props}[raw.KEY]) == document
    assert document["compared"]["ok"]
    assert document["inputs"] == {"data": [1, 3, 64, 64]}
    assert (document["mean"], document["std"]) == ([0, 0, 0], [1, 1, 1])
    assert document["outputs"] == [output.name for output in model.graph.output]


def test_convert_when_no_task_expresses_the_net_then_it_says_how_to_get_the_graph(tmp_path, capsys):
    assert run("convert", "i3d_resnet50_v1_kinetics400", "--random", 1, "-o", tmp_path / "x") == 1
    assert "--raw" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_convert_when_an_action_net_looks_at_single_pictures_then_it_is_a_classifier_with_the_data_sets_labels(
    tmp_path, capsys
):
    out = tmp_path / "actions"
    assert run("convert", "resnet18_v1b_kinetics400", "--random", 1, "--input", "64x64", "-o", out, "--json") == 0
    assert json.loads(capsys.readouterr().out)["task"] == "classification"
    labels = (out / "labels.txt").read_text().splitlines()
    assert len(labels) == 400
    assert labels[0] == "abseiling"
    assert run("verify", out) == 0


def test_convert_when_a_saved_model_is_wanted_raw_then_outputs_are_mxnets_own(tmp_path, capsys):
    symbol, params = write_model(tmp_path)
    out = tmp_path / "new" / "net.onnx"
    args = ["convert", "--symbol", symbol, "--params", params, "--input", "16x12", "--raw", "-o", out]
    assert run(*args) == 0
    assert "equals MXNet" in capsys.readouterr().out
    image = np.random.default_rng(0).normal(size=(1, 3, 16, 12)).astype(np.float32)
    (expected,) = zoo.reference(symbol, params, image)
    model = onnx.load(out)
    np.testing.assert_allclose(run_model(model, {model.graph.input[0].name: image}).popitem()[1], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--symbol", "s.json", "--raw"], "--params, and --input or"),
        (["--raw"], "name a zoo net"),
        (["mobilenet0.25", "--random", "1", "--raw", "--labels", "a,b"], "no use for --labels"),
    ],
)
def test_raw_when_arguments_do_not_fit_then_one_line_says_so(args, says, tmp_path, capsys):
    assert run("convert", *args, "-o", tmp_path / "x.onnx") == 1
    assert says in capsys.readouterr().err


def test_raw_when_the_graph_is_wrong_then_the_exit_code_says_so(tmp_path, monkeypatch, capsys):
    right = raw.raw_model

    def broken(graph, shapes):
        model = right(graph, shapes)
        bias = next(item for item in model.graph.initializer if item.name == "dense_bias")
        bias.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(bias) + np.float32(0.1), bias.name))
        return model

    monkeypatch.setattr(raw, "raw_model", broken)
    symbol, params = write_model(tmp_path)
    args = ["--symbol", symbol, "--params", params, "--input", "16x12", "--raw", "-o", tmp_path / "net.onnx"]
    assert run("convert", *args) == 1
    assert "DIFFERS FROM MXNet" in capsys.readouterr().out

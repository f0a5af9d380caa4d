"""Nets of shapes that the zoo has none of equal MXNet as well, or are refused by name."""

import json
import re

import numpy as np
import odd_models as models
import onnx
import pytest

from export import heads, zoo
from export.bare import raw_model
from export.cli import main
from export.run_onnx import run_model
from export.source import load
from export.verify import verify, verify_raw

_SAID = ["--task", "classification", "--input", "16x16", "--labels", "a,b,c", "--scale", "1"]


@pytest.mark.parametrize(
    "build",
    [
        *[lambda kind=kind: models.tagger(kind) for kind in ("LSTM", "GRU", "RNN")],
        models.unrolled,
        models.reader,
        models.looker,
    ],
    ids=["lstm", "gru", "rnn", "unrolled", "reader", "looker"],
)
def test_raw_when_a_net_is_odd_then_every_layer_and_the_end_equal_mxnet(build, tmp_path):
    net, inputs = build()
    _equals(*models.saved(net, inputs, tmp_path / "odd"), inputs)


def test_raw_when_a_net_is_written_with_mxnet_s_numpy_then_every_layer_and_the_end_equal_mxnet(tmp_path):
    _equals(*models.numpy_net(tmp_path / "odd"))


def _equals(symbol, params, inputs):
    model = raw_model(load(symbol, params), {name: array.shape for name, array in inputs.items()})
    onnx.checker.check_model(model, full_check=True)
    found = verify_raw(symbol, params, inputs, model=model)
    assert found.ok, found.to_json()


def _raw(folder, net, inputs, *arguments):
    symbol, params = models.saved(net, inputs, folder / "odd")
    out = folder / "odd.onnx"
    return main(["convert", "--symbol", str(symbol), "--params", str(params), "--raw", "-o", str(out), *arguments]), out


def test_raw_when_a_net_has_two_inputs_then_each_is_told_by_its_shape(tmp_path, capsys):
    code, out = _raw(tmp_path, *models.siamese(), "--shape", "data0=2x3x16x16", "--shape", "data1=2x3x16x16", "--json")
    document = json.loads(capsys.readouterr().out)
    assert code == 0
    assert document["inputs"] == {"data0": [2, 3, 16, 16], "data1": [2, 3, 16, 16]}
    assert document["compared"]["ok"]
    assert [value.name for value in onnx.load(out).graph.input] == ["data0", "data1"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--input", "16x16"], "data0, data1.*--shape for each"),
        (["--shape", "other=1x3x16x16"], "no input 'other'; it has data0, data1"),
        (["--shape", "data0=1x3x16x16"], "'data1' is missing"),
        ([], "--input or a --shape for each"),
    ],
)
def test_raw_when_inputs_are_not_told_then_the_error_names_them(arguments, words, tmp_path, capsys):
    assert _raw(tmp_path, *models.siamese(), *arguments)[0] == 1
    assert re.search(words, capsys.readouterr().err)


@pytest.mark.parametrize("sigmoid", [True, False])
def test_convert_when_a_net_tells_one_thing_from_the_rest_then_its_mask_has_two_classes(sigmoid, tmp_path):
    symbol, params = models.saved(*models.hourglass(sigmoid=sigmoid), tmp_path / "odd")
    said = {"task": "segmentation", "scale": 0.02, "offset": -2.5}
    model = heads.finish(load(symbol, params), input_hw=(37, 45), labels=["rest", "thing"], **said)
    pictures = zoo.pictures(2, (37, 45), seed=3)
    assert verify(symbol, params, model, pictures, **said).ok
    assert set(np.unique(run_model(model, {"image": pictures})["mask"])) == {0, 1}


@pytest.mark.parametrize(
    ("net", "words"),
    [
        ({"size": 3, "channels": 1}, "pictures of 1 channels"),
        ({"size": 1}, "one number"),
        ({"size": 3, "activation": "sigmoid"}, "several labels may hold at once"),
    ],
)
def test_convert_when_no_bundle_can_hold_a_net_then_it_is_refused_and_raw_is_offered(net, words, tmp_path, capsys):
    symbol, params = models.saved(*models.ends_in(**net), tmp_path / "odd")
    out = str(tmp_path / "bundle")
    assert main(["convert", "--symbol", str(symbol), "--params", str(params), *_SAID, "-o", out]) == 1
    error = capsys.readouterr().err
    assert words in error
    assert "--raw" in error


def test_convert_when_the_picture_is_of_another_size_than_in_training_then_it_asks_for_that(tmp_path, capsys):
    symbol, params = models.saved(*models.ends_in(3), tmp_path / "odd")
    said = [word if word != "16x16" else "20x20" for word in _SAID]
    out = str(tmp_path / "bundle")
    assert main(["convert", "--symbol", str(symbol), "--params", str(params), *said, "-o", out]) == 1
    assert "is the input of the size that the net was made for?" in capsys.readouterr().err


def test_convert_when_a_bundle_is_asked_for_by_shapes_then_it_says_that_these_are_for_raw(tmp_path, capsys):
    symbol, params = models.saved(*models.ends_in(3), tmp_path / "odd")
    command = ["convert", "--symbol", str(symbol), "--params", str(params), *_SAID, "--shape", "data=1x3x16x16"]
    assert main([*command, "-o", str(tmp_path / "bundle")]) == 1
    assert "--shape is for --raw" in capsys.readouterr().err

"""Any saved model: own blocks, Gluon's zoo, Module checkpoints, old files, float16; each compared with MXNet."""

import json
from dataclasses import replace

import numpy as np
import onnx
import pytest
import saved_models as models

from export import heads, zoo
from export.layers import first_divergence
from export.prune import load_for_inference
from export.run_onnx import run_model
from export.source import load, load_params, load_symbol
from export.translate import input_variable, translate
from export.verify import verify
from export.zoo.runtime import mxnet, quiet

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def _check(symbol, params, hw=(32, 32), *, batch=2, tolerance=2e-5):
    """The raw net against MXNet, end to end at another batch than one, and layer by layer."""
    graph = load(symbol, params)
    model = translate(graph, input_hw=hw)
    onnx.checker.check_model(model, full_check=True)
    x = np.random.default_rng(5).normal(0, 1, (batch, 3, *hw)).astype(np.float32)
    name = input_variable(graph)
    expected = zoo.reference(symbol, params, x)
    found = list(run_model(model, {name: x}).values())
    assert [f.shape for f in found] == [e.shape for e in expected]
    for ours, theirs in zip(found, expected, strict=True):
        assert np.ptp(theirs) > 1e-3, "a constant output proves nothing"
        np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance * max(1, np.abs(theirs).max()))
    first = first_divergence(graph, {name: x[:1]}, zoo.reference_layers(symbol, params, x[:1]))
    assert first is None, first
    return model


def _finished(symbol, params, task, hw, labels):
    """The deployable model against MXNet on drawn pictures."""
    model = heads.finish(load(symbol, params), task=task, input_hw=hw, labels=labels, mean=MEAN, std=STD)
    onnx.checker.check_model(model, full_check=True)
    pictures = zoo.pictures(2, hw, seed=3)
    found = verify(symbol, params, model, pictures, task=task, mean=MEAN, std=STD)
    assert found.ok, found.to_json()
    return run_model(model, {"image": pictures})


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    return models.save(models.course_net(), tmp_path_factory.mktemp("course") / "course")


def test_convert_when_a_sequential_net_is_saved_then_it_equals_mxnet(course):
    _check(*course)
    scores = _finished(*course, "classification", (32, 32), list("abcd"))["scores"]
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-5)


def test_convert_when_hybrid_forward_computes_then_it_equals_mxnet(tmp_path):
    with quiet():
        net = models.arithmetic_net()
    _check(*models.save(net, tmp_path / "arithmetic"))


def test_convert_when_an_ssd_has_a_backbone_of_its_own_then_detections_equal_mxnet(tmp_path):
    saved = models.save(models.own_ssd(), tmp_path / "ssd", (64, 64))
    found = _finished(*saved, "detection", (64, 64), ["cat", "dog"])
    assert (found["count"] > 3).all()


def test_convert_when_an_ssd_is_made_of_multibox_operators_then_detections_equal_mxnet(tmp_path):
    saved = models.save(models.course_ssd(), tmp_path / "tiny", (64, 48))
    found = _finished(*saved, "detection", (64, 48), ["cat", "dog"])
    assert (found["count"] > 3).all()
    assert found["boxes"][..., 2].max() <= 48
    assert found["boxes"][..., 3].max() > 48


@pytest.mark.parametrize(
    ("name", "side"), [("squeezenet1.1", 224), ("mobilenet0.25", 64), ("mobilenetv2_0.25", 64), ("resnet18_v2", 64)]
)
def test_convert_when_a_net_of_gluon_s_own_zoo_is_saved_then_it_equals_mxnet(name, side, tmp_path):
    with quiet():
        net = mxnet().gluon.model_zoo.vision.get_model(name, classes=7)
    _check(*models.save(net, tmp_path / "net", (side, side)), (side, side), tolerance=1e-4)


def _trained(symbol, tmp_path, labels):
    """What `Module.save_checkpoint` writes after binding for training."""
    mx = mxnet()
    with quiet():
        mx.random.seed(2)
        module = mx.mod.Module(symbol, label_names=[name for name, _ in labels], context=mx.cpu())
        module.bind([("data", (2, 3, 16, 16))], labels, for_training=True)
        module.init_params(mx.init.Xavier(magnitude=3))
        module.save_checkpoint(str(tmp_path / "model"), 12)
    return tmp_path / "model-symbol.json", tmp_path / "model-0012.params"


def _body(outputs=3):
    sym = mxnet().sym
    x = sym.Convolution(sym.Variable("data"), num_filter=6, kernel=(3, 3), name="conv")
    x = sym.Pooling(sym.Activation(x, act_type="relu"), kernel=(2, 2), stride=(2, 2), pool_type="max")
    return sym.FullyConnected(sym.Flatten(x), num_hidden=outputs, name="fc")


@pytest.mark.parametrize(
    ("loss", "label"),
    [
        ("SoftmaxOutput", (2,)),
        ("LinearRegressionOutput", (2, 3)),
        ("LogisticRegressionOutput", (2, 3)),
        ("MAERegressionOutput", (2, 3)),
    ],
)
def test_convert_when_a_module_checkpoint_ends_in_a_loss_then_the_label_is_no_input(loss, label, tmp_path):
    symbol = getattr(mxnet().sym, loss)(_body(), name="softmax")
    model = _check(*_trained(symbol, tmp_path, [("softmax_label", label)]), (16, 16))
    assert [value.name for value in model.graph.input] == ["data"]


def test_convert_when_a_checkpoint_has_its_own_loss_beside_the_output_then_only_the_output_stays(tmp_path):
    sym = mxnet().sym
    out = _body()
    loss = sym.MakeLoss(sym.mean(sym.square(out - sym.Variable("softmax_label"))), name="own_loss")
    saved = _trained(sym.Group([sym.BlockGrad(out, name="answer"), loss]), tmp_path, [("softmax_label", (2, 3))])
    graph, written = load_for_inference(*saved, tmp_path)
    assert written != saved[0]
    assert [graph.output_name(ref) for ref in graph.heads] == ["answer_output"]
    _check(written, saved[1], (16, 16))


def test_load_when_there_is_nothing_to_prune_then_the_files_are_used_as_they_are(course, tmp_path):
    _, written = load_for_inference(*course, tmp_path)
    assert written == course[0]


@pytest.mark.parametrize("spelling", ["attr", "param"])
def test_load_when_attributes_are_spelled_as_older_mxnet_did_then_the_model_is_the_same(spelling, course, tmp_path):
    old = models.respelled(course[0], spelling, tmp_path / "old-symbol.json")
    ours, theirs = (translate(load(symbol, course[1]), input_hw=(32, 32)) for symbol in (old, course[0]))
    theirs.graph.name = ours.graph.name
    assert ours.SerializeToString(deterministic=True) == theirs.SerializeToString(deterministic=True)


def test_load_when_mxnet_1_0_s_spelling_is_given_then_mxnet_reads_it_the_same_way(course, tmp_path):
    _check(models.respelled(course[0], "attr", tmp_path / "old-symbol.json"), course[1])


@pytest.mark.parametrize("magic", [models.V1, models.V2, models.V3, models.ANCIENT])
def test_load_when_params_are_of_any_generation_then_every_array_is_bit_for_bit_mxnet_s(magic, tmp_path):
    rng = np.random.default_rng(7)
    arrays = {
        "arg:w": rng.normal(size=(3, 4, 2)).astype("<f4"),
        "arg:half": rng.normal(size=(5,)).astype("<f2"),
        "arg:double": rng.normal(size=(2, 2)).astype("<f8"),
        "aux:bytes": rng.integers(0, 255, (7,)).astype("u1"),
        "arg:ints": rng.integers(-9, 9, (1, 3)).astype("<i4"),
        "arg:long": rng.integers(-9, 9, (2,)).astype("<i8"),
    }
    path = tmp_path / "old.params"
    path.write_bytes(models.params_bytes(arrays, magic))
    ours = load_params(path)
    # MXNet reads version 3 only with NumPy's shapes switched on.
    with mxnet().util.np_shape(active=magic == models.V3):
        theirs = mxnet().nd.load(str(path))
    for name, array in arrays.items():
        plain = ours[name.split(":")[1]]
        assert plain.dtype == array.dtype
        assert plain.tobytes() == array.tobytes() == theirs[name].asnumpy().tobytes()


def test_convert_when_weights_are_float16_then_it_equals_mxnet_on_the_same_weights(course, tmp_path):
    symbol, params = course
    half = {f"arg:{k}": v.astype("<f2") for k, v in load_params(params).items()}
    path = tmp_path / "half.params"
    path.write_bytes(models.params_bytes(half))
    model = _check(symbol, path)
    assert {tensor.data_type for tensor in model.graph.initializer} <= {onnx.TensorProto.FLOAT, onnx.TensorProto.INT64}


def test_load_when_a_net_was_saved_without_its_trained_weights_then_the_missing_one_is_named(course, tmp_path):
    params = {f"arg:{k}": v for k, v in load_params(course[1]).items() if not k.endswith("dense0_weight")}
    path = tmp_path / "less.params"
    path.write_bytes(models.params_bytes(params))
    with pytest.raises(ValueError, match="dense0_weight"):
        translate(load(course[0], path), input_hw=(32, 32))


def test_convert_when_node_names_repeat_then_nodes_are_told_apart_by_position(course, tmp_path):
    document = json.loads(course[0].read_text())
    for node in document["nodes"]:
        if node["op"] != "null":
            node["name"] = "same"
    path = tmp_path / "same-symbol.json"
    path.write_text(json.dumps(document))
    model = translate(load(path, course[1]), input_hw=(32, 32))
    names = [node.name for node in model.graph.node]
    assert len(set(names)) == len(names)
    onnx.checker.check_model(model, full_check=True)


def test_convert_when_an_operator_is_unknown_then_its_name_node_and_the_way_out_are_said(course):
    graph = load(*course)
    at = next(n for n, node in enumerate(graph.nodes) if node.op == "Activation")
    nodes = [*graph.nodes]
    nodes[at] = replace(nodes[at], op="_contrib_Mystery")
    with pytest.raises(ValueError, match=r"_contrib_Mystery of node .*add-an-operator"):
        translate(replace(graph, nodes=tuple(nodes)), input_hw=(32, 32))
    assert load_symbol(course[0])[0]

import numpy as np
import onnx
import pytest
from models import bundle_of, square_net, square_pictures

from export.calibrate import images
from export.ends import levels_for, side_by_side
from export.quantize import calibrate


@pytest.mark.parametrize(("low", "high"), [(-3.0, 5.0), (0.0, 4.0), (-7.0, 0.0), (1.0, 2.0), (-50.0, 1.0), (0.0, 0.0)])
@pytest.mark.parametrize("channels", [1, 32, 33, 1000])
def test_levels_when_the_copies_saturate_one_after_the_other_then_their_sum_is_the_value(low, high, channels):
    levels = levels_for(low, high, channels=channels)
    assert levels.copies == (2 if channels <= 32 else 1)
    values = np.linspace(min(low, 0), max(high, 0), 1001)
    parts = [np.clip(np.rint((values + levels.shift(k)) / levels.step), 0, 255) for k in range(levels.copies)]
    zero = sum(levels.zero_point(k) for k in range(levels.copies))
    assert zero == levels.zero
    # The range may be off by the half step to which zero is rounded.
    np.testing.assert_allclose((sum(parts) - zero) * levels.step, values, atol=1.01 * levels.step)
    assert ((np.zeros(1) + levels.zero - zero) * levels.step == 0).all()


def test_levels_when_nothing_is_compared_with_the_values_then_one_copy_is_enough():
    assert levels_for(-1.0, 1.0, channels=4, compared=False).copies == 1


def _convolution(source, *, stride=1, group=1):
    return onnx.helper.make_node("Conv", [source, "w"], ["y"], group=group, strides=[stride, stride])


@pytest.mark.parametrize(
    ("nodes", "shapes", "lots"),
    [
        ([_convolution("x")] * 2, [(24, 8, 3, 3)] * 2, [[0, 1]]),  # 3 blocks of 16 instead of 4
        ([_convolution("x")] * 2, [(16, 8, 3, 3), (32, 8, 3, 3)], [[0], [1]]),  # 3 either way
        ([_convolution("x")] * 2, [(24, 8, 3, 3), (24, 8, 1, 1)], [[0], [1]]),
        ([_convolution("x"), _convolution("z")], [(24, 8, 3, 3)] * 2, [[0], [1]]),
        ([_convolution("x"), _convolution("x", stride=2)], [(24, 8, 3, 3)] * 2, [[0], [1]]),
        ([_convolution("x", group=2)] * 2, [(24, 8, 3, 3)] * 2, [[0], [1]]),
        ([_convolution("x"), _convolution("z"), _convolution("x")], [(8, 8, 1, 1)] * 3, [[0, 2], [1]]),
    ],
)
def test_heads_when_written_as_one_then_they_read_alike_and_fill_fewer_blocks(nodes, shapes, lots):
    assert sorted(side_by_side(nodes, dict(enumerate(shapes))).values()) == lots


@pytest.mark.parametrize("scheme", ["u8s8", "s8s8"])
def test_heads_of_one_tensor_when_they_become_one_convolution_then_each_keeps_its_steps(tmp_path, scheme):
    square_pictures(tmp_path / "squares", 12)
    pictures = images(tmp_path / "squares")
    found = []
    for heads in (1, 2):
        bundle = bundle_of(square_net(heads=heads), "detection", ("red", "green"))
        calibrated = calibrate(bundle, pictures, scheme=scheme)
        quantized = calibrated.quantize().model
        found.append(agree_with_float(calibrated, quantized))
        convolutions = [n for n in quantized.graph.node if n.op_type == "Conv"]
        made = {o: n for n in quantized.graph.node for o in n.output}
        weights = made[made[convolutions[-1].input[1]].input[0]]
        # Scores stand there twice, offsets once.
        assert [list(weights.input).count(name) for name in dict.fromkeys(weights.input)] == [[2], [2, 1]][heads - 1]
        assert len(convolutions) == 2
    assert found[1]["scores"] <= found[0]["scores"] + 0.01
    assert found[1]["boxes"] <= 0.1  # pixels


def test_a_head_of_one_copy_when_it_stands_alone_then_has_one_scale_for_openvino(tmp_path, monkeypatch):
    monkeypatch.setattr("export.qdq.side_by_side", lambda _nodes, ends: {i: [i] for i in ends})
    square_pictures(tmp_path / "squares", 12)
    bundle = bundle_of(square_net(heads=2), "detection", ("red", "green"))
    quantized = calibrate(bundle, images(tmp_path / "squares")).quantize().model
    graph = quantized.graph
    constants = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer}
    made = {o: n for n in graph.node for o in n.output}
    ends = [n for n in graph.node if n.op_type == "Conv"][1:]
    stored = [next(n for n in graph.node if n.input and n.input[0] == e.output[0]).output[0] for e in ends]
    steps = [next(constants[n.input[1]] for n in graph.node if n.input[0] == s and made[s] is not n) for s in stored]
    assert [step.ndim for step in steps] == [1, 0]  # scores in two copies, offsets in one


def agree_with_float(calibrated, quantized):
    """The largest difference of each output from the float model's, over the pictures."""
    import onnxruntime as ort

    sessions = [
        ort.InferenceSession(m.SerializeToString(), providers=["CPUExecutionProvider"])
        for m in (calibrated.model, quantized)
    ]
    worst = {"scores": 0.0, "boxes": 0.0}
    for tensor in calibrated.reader.each("test"):
        found, wanted = (s.run(list(worst), {"image": tensor}) for s in reversed(sessions))
        for name, a, b in zip(worst, found, wanted, strict=True):
            worst[name] = max(worst[name], float(np.abs(a - b)[wanted[0] > 0.3].max(initial=0)))
    return worst


@pytest.mark.parametrize("scheme", ["u8s8", "s8s8"])
def test_a_heads_last_convolution_gives_more_than_256_values_and_holds_its_weights_once(tmp_path, scheme):
    square_pictures(tmp_path / "squares", 12)
    bundle = bundle_of(square_net(), "detection", ("red", "green"))
    calibrated = calibrate(bundle, images(tmp_path / "squares"), scheme=scheme)
    quantized = calibrated.quantize().model
    nodes = {o: n for n in quantized.graph.node for o in n.output}
    ends = [n for n in quantized.graph.node if n.op_type == "Sum"]
    assert ends
    for end in ends:
        stored = nodes[nodes[nodes[end.input[0]].input[0]].input[0]]
        convolution = nodes[stored.input[0]]
        repeated = nodes[nodes[convolution.input[1]].input[0]]
        assert (convolution.op_type, repeated.op_type, len(set(repeated.input))) == ("Conv", "Concat", 1)
    probe = onnx.ModelProto()
    probe.CopyFrom(quantized)
    del probe.graph.output[:]
    probe.graph.output.append(onnx.helper.make_tensor_value_info(ends[0].output[0], onnx.TensorProto.FLOAT, None))
    import onnxruntime as ort

    session = ort.InferenceSession(probe.SerializeToString(), providers=["CPUExecutionProvider"])
    reference = onnx.ModelProto()
    reference.CopyFrom(calibrated.model)
    del reference.graph.output[:]
    reference.graph.output.append(probe.graph.output[0])
    exact = ort.InferenceSession(reference.SerializeToString(), providers=["CPUExecutionProvider"])
    found, wanted = [], []
    for tensor in calibrated.reader.each("test"):
        found.append(session.run(None, {"image": tensor})[0])
        wanted.append(exact.run(None, {"image": tensor})[0])
    span = np.ptp(wanted)
    assert np.abs(np.subtract(found, wanted)).max() < 0.05 * span

import numpy as np
import onnx
import pytest
from models import bundle_of, square_net, square_pictures

from export.calibrate import images
from export.ends import levels_for
from export.headroom import headroom
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


def test_headroom_when_each_picture_reaches_the_limit_is_none():
    assert headroom(np.full((10, 4), 3.0)) == 1.0
    assert headroom(np.zeros((5, 2))) == headroom(np.ones((1, 2))) == 1.0


def test_headroom_when_each_picture_sets_a_record_of_its_own_is_what_the_others_would_miss():
    peaks = np.eye(6) * 0.3 + 1.0  # picture i goes 1.3 times as far as all others, in channel i
    assert headroom(peaks) == pytest.approx(1.3)
    assert headroom(np.eye(6) * 9 + 1.0) == 1.5


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

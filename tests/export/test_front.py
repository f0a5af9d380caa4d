import numpy as np
import onnx
import onnxruntime as ort
import pytest
from models import SIDE, Net, colour_net
from onnx import TensorProto

from export.front import feed_bytes


def _net(front: str, **window: object) -> onnx.ModelProto:
    net = Net()
    rng = np.random.default_rng(4)
    mean, std = (np.array(v, np.float32).reshape(1, 3, 1, 1) for v in ([120, 117, 90], [58, 57, 50]))
    x = net.add("Cast", "image", to=TensorProto.FLOAT)
    if front == "nhwc":
        x = net.add("Transpose", net.add("Sub", x, mean.reshape(3)), perm=[0, 3, 1, 2])
    else:
        x = net.add("Transpose", x, perm=[0, 3, 1, 2])
        x = net.add("Sub", x, mean) if front == "sub" else net.add("Add", net.add("Div", x, std), -mean / std)
    y = net.conv(x, rng.normal(0, 0.02, (4, 3, 3, 3)), **window)
    net.add("Softmax", net.add("Flatten", net.conv(y, rng.normal(0, 1, (3, 4, 1, 1))), axis=1), out="scores", axis=1)
    net.nodes[-1].op_type = "Sigmoid"
    del net.nodes[-1].attribute[:]
    return net.model("classification", check=False)


def _run(model: onnx.ModelProto, tensor: np.ndarray) -> np.ndarray:
    settings = ort.SessionOptions()
    settings.log_severity_level = 3
    session = ort.InferenceSession(model.SerializeToString(), settings, providers=["CPUExecutionProvider"])
    return session.run(["scores"], {"image": tensor})[0]


@pytest.mark.parametrize("front", ["sub", "nhwc", "div"])
def test_feed_bytes_computes_the_same_where_nothing_is_padded(front: str) -> None:
    model = _net(front)
    fed, done = feed_bytes(model)
    assert done
    assert [n.op_type for n in fed.graph.node][:3] == ["Transpose", "DequantizeLinear", "Conv"]
    assert not {"Cast", "Sub", "Add", "Div"} & {n.op_type for n in fed.graph.node}
    onnx.checker.check_model(fed)
    tensor = np.random.default_rng(1).integers(0, 256, (2, SIDE, SIDE, 3), dtype=np.uint8)
    np.testing.assert_allclose(_run(fed, tensor), _run(model, tensor), atol=1e-5)


def test_feed_bytes_pads_with_the_grey_nearest_to_the_mean() -> None:
    model = _net("sub", pads=[1, 1, 1, 1])
    fed, _ = feed_bytes(model)
    zero = next(t for t in fed.graph.initializer if t.name == "bytes/zero")
    assert onnx.numpy_helper.to_array(zero) == 109
    tensor = np.random.default_rng(1).integers(0, 256, (1, SIDE, SIDE, 3), dtype=np.uint8)
    difference = np.abs(_run(fed, tensor) - _run(model, tensor)).reshape(3, SIDE, SIDE)
    assert difference[:, 1:-1, 1:-1].max() < 1e-5
    assert difference.max() > 0, "the rim, where the padding shows"


def test_feed_bytes_when_the_front_is_another_leaves_the_model_as_it_was() -> None:
    net = Net()
    x = net.add("Tanh", net.front())
    y = net.conv(x, np.ones((3, 3, 1, 1)))
    net.add("Softmax", net.add("Flatten", net.add("GlobalAveragePool", y), axis=1), out="scores", axis=1)
    model = net.model("classification")
    assert feed_bytes(model) == (model, False)


def test_feed_bytes_once_done_is_not_done_again() -> None:
    fed, done = feed_bytes(colour_net())
    assert done
    assert feed_bytes(fed)[1] is False

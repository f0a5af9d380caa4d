"""An SSD's class probabilities without the background's: for few classes by differences, for more by Softmax."""

import numpy as np
import pytest

from export.build import Builder
from export.heads.foreground import foreground
from export.run_onnx import run_model


def emitted(classes):
    builder = Builder()
    logits = builder.input("logits", np.float32, ((1, 50, classes), (2, 50, classes)))
    builder.output(foreground(builder, logits), "scores")
    return builder.program.to_model()


def softmax(logits):
    far = np.exp(logits.astype(np.float64) - logits.max(-1, keepdims=True))
    return (far / far.sum(-1, keepdims=True))[..., 1:]


@pytest.mark.parametrize("classes", [2, 3, 4, 5, 21])
@pytest.mark.parametrize("spread", [0.0, 1.0, 10.0, 1e3, 1e30])
def test_foreground_when_compared_with_softmax_then_is_the_same_and_always_a_number(classes, spread):
    logits = np.random.default_rng(classes).normal(size=(2, 50, classes)).astype(np.float32) * np.float32(spread)
    scores = run_model(emitted(classes), {"logits": logits})["scores"]
    assert scores.shape == (2, 50, classes - 1)
    np.testing.assert_allclose(scores, softmax(logits), rtol=2e-6, atol=1e-7)


def test_foreground_when_the_classes_are_few_then_no_softmax_is_left():
    assert [{n.op_type for n in emitted(c).graph.node} >= {"Softmax"} for c in (2, 4, 5)] == [False, False, True]

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from models import CELL, SIDE, square_net

from export.regions import find_region
from export.rounding import Curvature, Rounder, curvatures, round_weights
from export.weights import Layer, integer_weights


def _curvature(rng: np.random.Generator, groups: int, d: int, rank: int) -> Curvature:
    """Inputs that go together, as those of nets do."""
    x = rng.normal(0, 1, (groups, 200, rank)) @ rng.normal(0, 1, (groups, rank, d)) + rng.normal(
        0, 0.1, (groups, 200, d)
    )
    return Curvature(np.matmul(x.transpose(0, 2, 1), x).astype(np.float32), True)


@example(seed=176, groups=2, side=1, inputs=3)  # of channels with steps of very different size
@given(st.integers(0, 10_000), st.integers(1, 2), st.sampled_from([1, 3]), st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_round_weights_costs_no_more_than_rounding_to_nearest(seed: int, groups: int, side: int, inputs: int) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.normal(0, 1, (3 * groups, inputs, side, side))
    grid = np.abs(weights).max(axis=(1, 2, 3), keepdims=True) / 127
    curvature = _curvature(rng, groups, inputs * side * side, 2)
    found = round_weights(weights, grid, curvature)
    assert (found == np.rint(found)).all()
    assert np.abs(found).max() <= 127

    def cost(stored: np.ndarray) -> float:
        error = (stored * grid - weights).reshape(groups, 3, -1)
        return float(np.einsum("goi,gij,goj->", error, curvature.values.astype(np.float64), error))

    assert cost(found) <= cost(np.rint(weights / grid)) * (1 + 1e-6) + 1e-9


def test_round_weights_when_inputs_go_together_lets_errors_cancel() -> None:
    rng = np.random.default_rng(1)
    weights = rng.normal(0, 1, (8, 32, 1, 1))
    curvature = _curvature(rng, 1, 32, 3)
    errors = []
    for stored in (round_weights(weights, np.float64(0.05), curvature), np.rint(weights / 0.05)):
        e = (stored * 0.05 - weights).reshape(8, -1)
        errors.append(np.einsum("oi,ij,oj->", e, curvature.values[0].astype(np.float64), e))
    assert errors[0] < errors[1] / 3


def test_curvatures_are_of_the_patches_that_each_convolution_sees() -> None:
    model = square_net()
    region = find_region(model.graph)
    tensor = np.full((1, SIDE, SIDE, 3), 200, np.uint8)
    found = curvatures(model, region, lambda _: [tensor, tensor], 2)
    first, last = (model.graph.node[i].output[0] for i in region.cores)
    value = np.repeat(200 - np.array([123.675, 116.28, 103.53]), CELL * CELL)
    assert found[first].whole
    h = found[first].values[0]
    np.testing.assert_allclose(h / h[0, 0], np.outer(value, value) / value[0] ** 2, rtol=1e-4)
    assert found[last].values.shape == (1, 3, 3)


def test_rounder_asks_once_for_each_layer() -> None:
    rng = np.random.default_rng(2)
    rounder = Rounder({"a": _curvature(rng, 1, 9, 2)})
    weights = rng.normal(0, 1, (4, 1, 3, 3))
    first = rounder("a", weights, np.float64(0.1))
    assert rounder("a", weights.copy(), np.float64(0.1)) is first
    np.testing.assert_array_equal(rounder("b", weights, np.float64(0.1)), np.rint(weights / 0.1))
    assert rounder
    assert not Rounder({})


@pytest.mark.parametrize("per_channel", [True, False])
def test_integer_weights_stand_for_the_real_ones(per_channel: bool) -> None:
    rng = np.random.default_rng(3)
    weights, bias = rng.normal(0, 1, (5, 4, 3, 3)), rng.normal(0, 1, 5)
    found = integer_weights(Layer("a", weights, bias, 0, 1, 0.02), Rounder({}), per_channel=per_channel)
    assert found.weights.dtype == np.int8
    assert found.steps.shape == ((5,) if per_channel else (1,))
    np.testing.assert_allclose(
        found.weights * found.steps.reshape(-1, 1, 1, 1), weights, atol=found.steps.max() / 2 + 1e-6
    )
    np.testing.assert_allclose(found.bias * found.bias_steps, bias, atol=1e-3)


def test_integer_weights_when_the_bias_is_huge_widen_their_step_so_that_it_fits() -> None:
    layer = Layer("a", np.full((1, 1, 1, 1), 1e-9), np.array([1e6]), 0, 1, 1e-3)
    found = integer_weights(layer, Rounder({}), per_channel=True)
    assert found.bias * found.bias_steps == pytest.approx([1e6], rel=1e-6)


def test_integer_weights_take_back_the_average_shift_in_the_bias() -> None:
    weights = np.full((2, 3, 1, 1), 0.404)
    weights[:, 0] = 100
    mean = np.array([0.0, 10, 20])
    found = integer_weights(Layer("a", weights, np.zeros(2), 0, 1, 0.01, mean), Rounder({}), per_channel=True)
    real = (found.weights * found.steps.reshape(-1, 1, 1, 1)).sum(axis=(2, 3)) @ mean + found.bias * found.bias_steps
    np.testing.assert_allclose(real, weights.sum(axis=(2, 3)) @ mean, atol=0.01)

"""Zones: in or out, by where an object stands."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.scene.zones import Zone

SQUARE = [(0.25, 0.25), (0.75, 0.25), (0.75, 0.75), (0.25, 0.75)]
share = st.floats(0, 1, allow_nan=False, width=32)


@given(x=share, y=share)
def test_holds_when_a_foot_is_drawn_then_a_square_holds_what_lies_within_its_sides(x, y):
    inside = min(x - 0.25, 0.75 - x, y - 0.25, 0.75 - y)
    held = Zone("yard", SQUARE).holds(0, (x, 0.0, x, y))

    assert held == (inside >= 0) or math.isclose(inside, 0, abs_tol=1e-6)


@pytest.mark.parametrize(("y", "was_in", "held"), [(0.755, False, False), (0.755, True, True), (0.77, True, False)])
def test_holds_when_it_was_in_then_it_leaves_a_little_behind_the_edge(y, was_in, held):
    assert Zone("yard", SQUARE).holds(0, (0.4, 0.1, 0.6, y), was_in=was_in) is held


def test_holds_when_the_polygon_is_concave_then_its_notch_is_outside():
    notched = Zone("yard", [(0, 0), (1, 0), (1, 1), (0.5, 0.2), (0, 1)])
    assert notched.holds(0, (0.05, 0, 0.15, 0.5))
    assert not notched.holds(0, (0.45, 0, 0.55, 0.5))


def test_holds_when_it_asks_for_labels_then_others_are_never_in_it():
    zone = Zone("yard", SQUARE, frozenset({1}))
    box = (0.4, 0.1, 0.6, 0.5)
    assert zone.holds(1, box)
    assert not zone.holds(0, box)
    assert not zone.holds(1, None)

"""Where a joint may be: GluonCV's own function agrees, another place does not, and ties are ties."""

import numpy as np
import pytest

from export.compare import COMPARE, Results
from export.graph import Graph
from export.places import place_error
from export.zoo.runtime import gluoncv, mxnet, quiet

PICTURE = (128, 96)
HEAT = np.random.default_rng(3).normal(size=(40, 32, 24)).astype(np.float32)
HEAT[0, 0, 0] = HEAT[1, 1, 1] = HEAT[2, 31, 23] = HEAT[3, 30, 22] = HEAT[4, 2, 2] = 9  # at the borders of the rule
HEAT[5] = -np.abs(HEAT[5])  # nothing found


@pytest.fixture(scope="module")
def places_of_gluoncv():
    height, width = PICTURE
    centre, scale = np.float32([[width / 2, height / 2]]), np.float32([[width, height]])
    with quiet():
        gluoncv()
        from gluoncv.data.transforms.pose import get_final_preds

        return get_final_preds(mxnet().nd.array(HEAT[None]), centre, scale)[0].asnumpy()[0]


@pytest.fixture
def places(places_of_gluoncv):
    return places_of_gluoncv.copy()


def test_places_when_gluoncv_finds_them_then_they_are_right(places):
    assert place_error(HEAT, places, PICTURE, slack=1e-6) < 1e-3


@pytest.mark.parametrize("joint", [0, 1, 2, 3, 4, 5, 17])
@pytest.mark.parametrize("shift", [(0.5, 0), (0, -0.5), (4, 0), (0, 4)])
def test_places_when_one_joint_is_moved_then_the_error_is_how_far(joint, shift, places):
    places[joint] += shift
    assert place_error(HEAT, places, PICTURE, slack=1e-6) == pytest.approx(np.abs(shift).max(), abs=1e-3)


def test_places_when_one_is_no_number_then_neither_is_the_error(places):
    places[1, 0] = np.nan
    assert np.isnan(place_error(HEAT, places, PICTURE, slack=1e-6))


def test_places_when_two_cells_are_equal_but_for_rounding_then_either_is_right():
    heat = np.zeros((1, 32, 24), np.float32)
    heat[0, 10, 10], heat[0, 20, 6] = 1, 1 - 1e-6
    for place in ((40, 40), (24, 80)):
        assert place_error(heat, np.float32([place]), PICTURE, slack=1e-5) == 0
    assert place_error(heat, np.float32([(24, 80)]), PICTURE, slack=1e-7) > 10


def test_places_when_neighbours_are_equal_but_for_rounding_then_either_step_is_right():
    heat = np.zeros((1, 32, 24), np.float32)
    heat[0, 10, 9:12] = 0.5, 1, 0.5 + 1e-6
    for x in (39, 40, 41):
        assert place_error(heat, np.float32([(x, 40)]), PICTURE, slack=1e-5) == 0
    assert place_error(heat, np.float32([(39, 40)]), PICTURE, slack=1e-7) == pytest.approx(2)


def test_pose_when_only_the_places_are_wrong_then_the_comparison_says_places():
    heat = np.zeros((1, 17, 32, 24), np.float32)
    heat[0, np.arange(17), 12, np.arange(3, 20)] = 0.7
    found = np.stack([np.arange(3, 20) * 4, np.full(17, 48), np.full(17, 0.7)], 1)[None].astype(np.float32)
    assert beyond(found, heat) == []
    found[0, 8, 0] += 4
    assert beyond(found, heat) == ["places"]


def beyond(keypoints, heat):
    found, _ = COMPARE["pose"](Results(Graph((), (), {}), {"keypoints": keypoints}, [heat], PICTURE))
    return [item.name for item in found if not item.max_abs <= item.tolerance]

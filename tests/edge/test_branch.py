"""Several models on one node: how they share the cores, whose keys count, and when all of them have ended."""

import bundles
import pytest

from edge.branch import Ends
from edge.bundle.admission import admitted_own
from edge.config import Config
from edge.errors import BundleError
from edge.modelhost import own_stage
from export.release import make_key_files


def config_of(*own, **model):
    cameras = {
        f"c{i}": {"source": "pattern", **({} if bundle is None else {"model": bundle})} for i, bundle in enumerate(own)
    }
    return Config.model_validate({"model": {"bundle": "b", **model}, "cameras": cameras, "mqtt": {"node": "n"}})


@pytest.mark.parametrize(
    ("own", "sessions"),
    [((None, None), 1), ((None, {"bundle": "x"}), 2), (({"bundle": "x"}, {"bundle": "x"}), 2), (({"bundle": "x"},), 1)],
)
def test_config_when_cameras_have_models_of_their_own_then_each_is_a_session(own, sessions):
    assert config_of(*own).sessions == sessions


def test_own_stage_when_nobody_says_how_many_threads_then_sessions_share_the_cores(tmp_path, monkeypatch):
    monkeypatch.setattr("edge.modelhost.available_cores", lambda: 4)
    model = {"bundle": bundles.classification_bundle(tmp_path / "b")}
    config = config_of(None, model).model_copy(update={"state_dir": tmp_path})
    said = config_of(None, {**model, "threads": 3}).model_copy(update={"state_dir": tmp_path})

    assert own_stage(config, "c1", config.cameras["c1"].model).session.threads == 2
    assert own_stage(said, "c1", said.cameras["c1"].model).session.threads == 3


def test_admitted_own_when_the_node_wants_signatures_then_a_cameras_own_bundle_needs_one_too(tmp_path):
    _, public = make_key_files(tmp_path / "key")[:2]
    config = config_of({"bundle": bundles.classification_bundle(tmp_path / "b")}, keys=(str(public),))

    with pytest.raises(BundleError, match=r"cameras\.c0\.model: .*sign"):
        admitted_own(config, "c0", config.cameras["c0"].model)


def test_ends_when_the_last_of_several_has_ended_then_that_is_told_once():
    told = []
    ends = Ends(told.append, 2)
    ends.one(None)
    assert told == []
    ends.one(None)
    assert told == [None]


def test_ends_when_one_cannot_go_on_then_that_is_told_at_once():
    told = []
    Ends(told.append, 2).one("the model failed")
    assert told == ["the model failed"]

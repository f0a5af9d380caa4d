"""Updates piece by piece: the state on the disk, the choice at the start, the watch and the trial."""

import hashlib
import threading

import bundles
import numpy as np
import pytest

from edge.bundle.bundle import read_bundle
from edge.bundle.trust import Trust
from edge.bundle.versions import Versions
from edge.config import UpdatesConfig
from edge.errors import BundleError, EdgeError
from edge.updates import Models, Request, Update
from edge.updates.host import NoAgent
from edge.updates.steps import Steps
from edge.updates.trial import Bounds, Trial, TrialError
from edge.updates.updater import Updater


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """Three bundles that differ in their digest."""
    folder = tmp_path_factory.mktemp("three")
    return [read_bundle(bundles.detection_bundle(folder / f"b{i}", rounds=i)) for i in range(3)]


@pytest.fixture
def models(tmp_path, three):
    """The second installed and active over the first."""
    import shutil

    models = Models(tmp_path / "n1.models")
    assert models.own()
    for bundle in three[1:]:
        shutil.copytree(bundle.path, models.path(bundle.digest))
    models.save(models.state.model_copy(update={"active": three[1].digest, "base": three[0].digest}))
    yield models
    models.release()


def on_its_way(phase, digest, starts=0):
    request = Request(id="u1", url="https://x/y", sha256="0" * 64)
    return Update(request=request, phase=phase, digest=digest, starts=starts)


def test_models_when_one_is_installed_then_it_is_chosen_after_a_restart_too(models, three):
    assert models.choose(lambda: three[0], Trust()).digest == three[1].digest
    models.release()
    again = Models(models.folder)
    assert again.own()
    assert again.choose(lambda: three[0], Trust()).digest == three[1].digest
    other = Models(models.folder)
    assert not other.own(), "one process has it"
    again.release()


def test_models_when_the_active_one_is_damaged_then_the_one_before_then_the_configured(models, three):
    models.save(models.state.model_copy(update={"active": three[2].digest, "previous": three[1].digest}))
    (models.path(three[2].digest) / "model.onnx").write_bytes(b"x")
    assert models.choose(lambda: three[0], Trust()).digest == three[1].digest
    (models.path(three[1].digest) / "model.onnx").unlink()
    assert models.choose(lambda: three[0], Trust()).digest == three[0].digest
    assert models.state.active is None

    def gone():
        raise BundleError("gone")

    with pytest.raises(EdgeError, match="gone"):
        models.choose(gone, Trust())


def test_models_when_the_configured_bundle_is_gone_then_the_installed_one_starts(models, three):
    def gone():
        raise BundleError("gone")

    assert models.choose(gone, Trust()).digest == three[1].digest


def test_models_when_a_person_configures_another_bundle_then_it_counts(models, three):
    assert models.choose(lambda: three[2], Trust()).digest == three[2].digest
    assert models.state.active is None


def test_models_when_a_model_on_trial_lets_nothing_live_then_it_is_rolled_back_by_the_start(models, three):
    trial = on_its_way("watching", three[2].digest)
    models.save(
        models.state.model_copy(update={"active": three[2].digest, "previous": three[1].digest, "update": trial})
    )
    chosen = [models.choose(lambda: three[0], Trust()).digest for _ in range(4)]
    assert chosen == [three[2].digest] * 3 + [three[1].digest]
    assert models.state.update.phase == "rolled_back"
    assert "ended 3 times" in models.state.update.reason


def test_watch_when_no_camera_gives_a_frame_then_it_comes_to_an_end_with_the_old_model(models, three, options):
    class Blind(NoAgent):
        lives = True

        def switch(self, stage):
            self.now = stage

    host = Blind(three[2], lambda _: options)
    host.load = lambda bundle: bundle
    models.save(
        models.state.model_copy(
            update={
                "active": three[2].digest,
                "previous": three[1].digest,
                "update": on_its_way("watching", three[2].digest),
            }
        )
    )
    settings = UpdatesConfig(watch_s=0.1, watch_longest_s=0.6)
    versions = Versions(models.folder.parent, "n1")
    steps = Steps(models, host, settings, Trust(), versions, configured=lambda: three[0], stopping=lambda: False)

    ended = Updater(steps, lambda _: None).carry_out()

    assert ended.phase == "rolled_back"
    assert "no camera has given it a frame in 0.6 s" in ended.reason
    assert host.now.digest == models.state.active == three[1].digest


def test_models_when_it_stops_in_good_order_then_its_starts_do_not_add_up(models, three):
    trial = on_its_way("watching", three[2].digest)
    models.save(models.state.model_copy(update={"active": three[2].digest, "update": trial}))
    for _ in range(6):
        assert models.choose(lambda: three[0], Trust()).digest == three[2].digest
        models.stopped()


def test_models_when_its_state_is_damaged_then_the_configured_one_starts_and_the_file_is_kept(models, three):
    models.release()
    (models.folder / "state.json").write_text("{")
    again = Models(models.folder)
    assert again.own()
    assert again.choose(lambda: three[0], Trust()).digest == three[0].digest
    assert list(models.folder.glob("state.damaged-*"))
    again.release()


@pytest.fixture(scope="module")
def options():
    from edge.inference.session import SessionOptions

    return SessionOptions(threads=1)


def test_trial_when_a_model_is_sound_then_it_tells_and_finds(three, options):
    with Trial(three[0], options, Bounds(1 << 31, 60, 60)) as trial:
        trial.prove()
        assert trial.told["frame_ms"] > 0
        found, ms = trial.look(bundles.squares_picture(160, 120, {"red": (10, 10, 40)}))
        assert [f[0] for f in found] == ["red"]
        assert ms > 0


def test_trial_when_the_golden_sample_differs_then_refused(tmp_path, options):
    folder = bundles.detection_bundle(tmp_path / "b", golden=False)
    import json

    wrong = bundles.golden_files(
        bundles.squares_picture(160, 120, {"red": (10, 10, 40)}),
        [{"label_id": 2, "score": 1.0, "box": [0, 0, 9, 9]}],
        threshold=0.5,
        score=0.1,
        box_px=1.0,
    )
    manifest = json.loads((folder / "manifest.json").read_text())
    for name, data in wrong.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)
        manifest["files"][name] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with (
        Trial(read_bundle(folder), options, Bounds(1 << 31, 60, 60)) as trial,
        pytest.raises(TrialError, match="golden sample does not come out"),
    ):
        trial.prove()


def test_trial_when_another_thread_ends_it_then_nobody_waits(three, options):
    trial = Trial(three[0], options, Bounds(1 << 31, 60, 60))
    timer = threading.Timer(0.2, trial.kill)
    timer.start()

    def look_for_ever():
        trial.prove()
        while True:
            trial.look(np.zeros((8, 8, 3), np.uint8))

    with trial, pytest.raises(TrialError, match=r"was ended|signal"):
        look_for_ever()
    timer.join()

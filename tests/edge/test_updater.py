"""The whole way without an agent: what is refused and why, and what a SIGKILL at each phase leaves behind."""

import os
import shutil
import signal
import subprocess
import sys
import time

import bundles
import pytest
from releases import release
from street import ROOT

from edge.bundle.admission import admitted, trust_of
from edge.cli import main
from edge.config.file import load_config
from edge.updates.configured import models_of
from edge.updates.handover import bring
from export.release import make_key_files

PHASES = ("downloading", "verifying", "installing", "probing", "shadowing", "switching", "watching")


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    return tmp_path_factory.mktemp("shelf")


@pytest.fixture
def configured(tmp_path, shelf):
    """A node with the first version configured, and nobody running."""
    source = shelf / "configured"
    if not source.exists():
        bundles.detection_bundle(source)

    def make(more="", model=""):
        path = tmp_path / "agent.toml"
        path.write_text(
            f'state_dir = "{tmp_path / "state"}"\n[model]\nbundle = "{source}"\nthreads = 1\n{model}\n'
            f'[mqtt]\nnode = "n1"\n[cameras.a]\nsource = 0\n[updates]\nmax_memory_mb = 1024\nmax_slowdown = 1000\n{more}\n'
        )
        return load_config(path)

    return make


def starts_with(config):
    """The version that an agent would start with."""
    models = models_of(config)
    assert models.own()
    try:
        return models.choose(lambda: admitted(config), trust_of(config)).manifest.version
    finally:
        models.release()


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        ("huge", "needs more than 1024 MiB of memory"),
        ("crooked", "golden sample does not come out"),
        ("slow", "max_slowdown"),
    ],
)
def test_update_when_the_model_is_valid_but_broken_then_the_old_one_stays(configured, shelf, broken, why):
    config = configured()
    if broken == "slow":
        config = config.model_copy(update={"updates": config.updates.model_copy(update={"max_slowdown": 3.0})})
    archive, _ = release(shelf, "2.0.0", broken=broken)
    told = []
    ended = bring(config, str(archive), None, lambda u: told.append(u.phase))
    assert (ended.phase, told[-2:]) == ("failed", ["probing", "failed"]), ended
    assert why in ended.reason
    assert starts_with(config) == "1.0.0"
    left = [p for p in models_of(config).folder.iterdir() if p.is_dir()]
    assert sorted(p.name for p in left) == ["download", "inbox"], "nothing of it is left"


def test_update_when_it_takes_too_long_then_it_is_ended(configured, shelf):
    config = configured("probe_s = 0.2")
    archive, _ = release(shelf, "1.1.0", rounds=1)
    ended = bring(config, str(archive), None, lambda _: None)
    assert ended.phase == "failed"
    assert "has not answered" in ended.reason


def test_update_when_it_is_not_meant_or_not_believed_then_refused_before_anything_is_written(
    configured, shelf, tmp_path
):
    private, public, _ = make_key_files(tmp_path / "ours")
    config = configured()
    for archive, why in (
        (release(shelf, "2.0.1", nodes=("other-*",))[0], "n1"),
        (release(shelf, "2.0.2", machines=("riscv64",))[0], "riscv64"),
    ):
        ended = bring(config, str(archive), None, lambda _: None)
        assert ended.phase == "failed"
        assert why in ended.reason
        assert starts_with(config) == "1.0.0"
    signed, _ = release(shelf, "2.0.3", rounds=2, sign=[private])
    damaged = tmp_path / "damaged.zip"
    raw = bytearray(signed.read_bytes())
    raw[len(raw) // 2] ^= 1
    damaged.write_bytes(raw)
    assert bring(config, str(damaged), None, lambda _: None).phase == "failed"
    ended = bring(configured(), str(signed), None, lambda _: None)
    assert ended.phase == "watching"
    assert ended.version == "2.0.3"
    assert public.exists()


def test_update_when_it_is_older_than_the_configured_bundle_then_refused(configured, shelf):
    archive, _ = release(shelf, "0.9.9", rounds=1)
    config = configured()
    ended = bring(config, str(archive), None, lambda _: None)
    assert (ended.phase, starts_with(config)) == ("failed", "1.0.0")
    assert ended.reason == "test-detection 0.9.9 is older than 1.0.0, which this node has had", (
        "and names no path of the node"
    )


def test_update_when_it_is_refused_then_the_command_says_why_once(configured, shelf, tmp_path, capsys):
    configured()
    archive, _ = release(shelf, "2.0.1", nodes=("other-*",))
    assert main(["update", str(archive), "-c", str(tmp_path / "agent.toml")]) == 1
    told = [line for line in capsys.readouterr().err.splitlines() if " update: " not in line]  # its log apart
    why = "test-detection 2.0.1: it is meant for the nodes other-*, this one is n1"
    assert told.count(told[-1]) == 1
    assert list(dict.fromkeys(told)) == ["downloading", "verifying", f"gluon-edge: error: failed: {why}"]


def test_update_when_keys_are_pinned_then_only_what_they_signed_is_taken(configured, shelf, tmp_path):
    private, public, _ = make_key_files(tmp_path / "ours")
    other, _, _ = make_key_files(tmp_path / "theirs")
    own, _ = release(shelf, "1.0.0", rounds=3, sign=[private])
    folder = tmp_path / "own.zip"
    shutil.copy(own, folder)
    config = configured(model=f'keys = ["{public}"]')
    config = config.model_copy(update={"model": config.model.model_copy(update={"bundle": folder})})
    for sign, why in (((), "not signed"), ((other,), "is signed by")):
        archive, _ = release(shelf, "1.2.0", rounds=4, sign=list(sign))
        ended = bring(config, str(archive), None, lambda _: None)
        assert ended.phase == "failed"
        assert why in ended.reason
    good, _ = release(shelf, "1.2.1", rounds=4, sign=[private])
    assert bring(config, str(good), None, lambda _: None).phase == "watching"
    assert starts_with(config) == "1.2.1"


HANG = """
import sys, time
from pathlib import Path
from edge.updates.updater import Updater
phase, flag = sys.argv[1], Path(sys.argv[2])
tell = Updater._tell
def hang(self):
    tell(self)
    if self.current.phase == phase:
        flag.touch()
        time.sleep(600)
Updater._tell = hang
from edge.cli import main
sys.exit(main(sys.argv[3:]))
"""


@pytest.mark.parametrize("phase", PHASES)
def test_update_when_killed_in_a_phase_then_one_of_the_two_starts_and_it_goes_on(configured, shelf, tmp_path, phase):
    config = configured()
    archive, _ = release(shelf, "1.1.0", rounds=1)
    flag = tmp_path / "there"
    arguments = ["update", str(archive), "-c", str(tmp_path / "agent.toml")]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", HANG, phase, flag, *arguments],
            cwd=ROOT, stdout=log, stderr=log, env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
    deadline = time.monotonic() + 60
    while not flag.exists():
        assert process.poll() is None, (tmp_path / "log").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait(10)

    assert models_of(config).peek().update.phase == phase
    assert starts_with(config) == ("1.1.0" if phase == "watching" else "1.0.0")


def test_update_when_killed_while_its_state_is_written_then_the_one_before_counts(configured, shelf):
    config = configured()
    models = models_of(config)
    assert models.own()
    (models.folder / "state.new").write_text('{"schema_version":"models/1.0","act')
    models.release()
    assert starts_with(config) == "1.0.0"
    archive, _ = release(shelf, "1.1.0", rounds=1)
    assert bring(config, str(archive), None, lambda _: None).phase == "watching"

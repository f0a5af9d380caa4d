"""Tuning: every way is tried and must be right, the best within the budget is kept, and the agent uses it."""

import json

import pytest
from bundles import classification_bundle, detection_bundle

from edge.bundle.bundle import read_bundle
from edge.cli import main
from edge.config import ModelConfig
from edge.inference.tuned import Tuned, hardware, options_for, recall, remember, versions
from edge.runtimes import UnavailableError, providers
from edge.tuning import tune as tuning
from edge.tuning.tune import Goal, Trial, tune


@pytest.fixture
def bundle(tmp_path):
    return read_bundle(detection_bundle(tmp_path / "squares"))


class Altered:
    """The CPU's runtime with something done to its outputs."""

    def __init__(self, model, settings, alter):
        self._runtime = providers.cpu(model, settings)
        self.name, self.graph, self._alter = "Altered", self._runtime.graph, alter

    def run(self, images, names):
        return [self._alter(name, value) for name, value in zip(names, self._runtime.run(images, names), strict=True)]


def altered(alter=lambda _name, value: value):
    return lambda model, settings: Altered(model, settings, alter)


def table(monkeypatch, **ways):
    for module in ("edge.inference.session", "edge.tuning.tune"):
        monkeypatch.setattr(f"{module}.RUNTIMES", {"cpu": (providers.cpu,), **{k: (v,) for k, v in ways.items()}})


def trial(p50, cpu, p90=None):
    found = Trial("b", "1x1", "fp32", "cpu", "", "model", 1)
    found.p50_ms, found.p90_ms, found.cpu_ms = p50, p90 or p50, cpu
    return found


def test_way_that_computes_wrong_is_out_however_fast(bundle, monkeypatch):
    table(monkeypatch, cuda=altered(lambda name, value: value * 0 if name == "boxes" else value))
    found = tune([bundle], goal=Goal(), seconds=0.1)

    wrong = [t for t in found.trials if t.provider == "cuda"]
    assert wrong
    assert all(t.reason.startswith("wrong on the golden sample: expected green") for t in wrong)
    assert found.best.provider == "cpu"
    assert [t.provider for t in found.tuned] == ["cpu"]


def test_provider_that_falls_away_is_told_once_and_not_tried_again(bundle, monkeypatch):
    asked = []

    def away(_model, settings):
        asked.append(settings)
        raise UnavailableError("no such device")

    table(monkeypatch, openvino=away)
    said = []
    found = tune([bundle], goal=Goal(), seconds=0.1, say=said.append)

    assert len(asked) == 1
    (row,) = (t.row() for t in found.trials if t.provider == "openvino")
    assert row["reason"] == "no such device"
    assert (row["runtime"], row["p50_ms"], row["fps"], row["runs"]) == ("", None, None, 0), "nothing was measured"
    assert len([s for s in said if "openvino" in s and s.endswith("no such device")]) == 1


def test_slower_bundle_loses_to_the_faster_and_each_keeps_its_own_best(tmp_path, monkeypatch):
    table(monkeypatch)
    slow = read_bundle(detection_bundle(tmp_path / "slow", rounds=60))
    fast = read_bundle(detection_bundle(tmp_path / "fast"))
    found = tune([slow, fast], goal=Goal(), seconds=0.3)

    assert found.best.bundle == fast.path
    assert {t.digest for t in found.tuned} == {slow.digest, fast.digest}


def test_goal_when_latency_is_bounded_then_the_least_cpu_within_it_is_best():
    goal = Goal(latency_ms=50)
    hot, cool, late = trial(20, 80), trial(40, 41), trial(45, 30, p90=60)

    assert [goal.met_by(t) for t in (hot, cool, late)] == [True, True, False]
    assert goal.cost(cool) < goal.cost(hot)


def test_goal_when_cpu_is_bounded_then_the_fastest_within_it_is_best():
    goal = Goal(cpu_ms=45)
    hot, cool = trial(20, 80), trial(40, 41)

    assert [goal.met_by(t) for t in (hot, cool)] == [False, True]
    assert goal.cost(hot) < goal.cost(cool)


def test_tune_when_nothing_keeps_to_the_budget_then_it_fails_and_keeps_nothing(bundle, tmp_path, monkeypatch, capsys):
    table(monkeypatch)
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))

    assert main(["tune", str(bundle.path), "--seconds", "1", "--latency-ms", "0.0001", "--json"]) == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["best"] is None
    assert {t["reason"] for t in json.loads(out)["trials"]} == {"over the budget"}
    assert "no way keeps to the budget" in err
    assert recall(tmp_path / "state", bundle.digest) is None


def test_tune_when_done_then_the_agents_options_are_what_it_found(bundle, tmp_path, monkeypatch, capsys):
    # What is recorded must be what runs, so no other way may win by chance: the CPU alone is tried, with one thread.
    table(monkeypatch)
    monkeypatch.setattr(tuning, "available_cores", lambda: 1)
    state = tmp_path / "state"
    monkeypatch.setenv("STATE_DIRECTORY", str(state))

    assert main(["tune", str(bundle.path), "--seconds", "1"]) == 0
    out = capsys.readouterr().out
    assert "provider" in out.splitlines()[0]
    assert f"best: {bundle.path} on cpu with 1 threads" in out
    options = options_for(bundle, ModelConfig(bundle=bundle.path), state)
    assert (options.providers, options.threads, options.precision) == (("cpu",), 1, "model")


def kept(bundle, **changes):
    base = {"digest": bundle.digest, "hardware": hardware(), "versions": versions(), "provider": "openvino"}
    return Tuned.model_validate({**base, "threads": 3, "precision": "half", "latency_ms": 1.0, **changes})


def test_configuration_that_names_providers_is_not_overruled(bundle, tmp_path):
    remember(tmp_path, kept(bundle))

    def options(**model):
        found = options_for(bundle, ModelConfig(bundle=bundle.path, **model), tmp_path)
        return found.providers, found.threads, found.precision

    assert options() == (("openvino",), 3, "half")
    assert options(threads=2) == (("openvino",), 2, "half")
    assert options(providers=["cuda"]) == (("cuda",), 0, "model")
    assert options(tuned=False) == (("cpu",), 0, "model")


@pytest.mark.parametrize("change", [{"hardware": "another board"}, {"versions": {"onnxruntime": "1.0"}}])
def test_tuning_of_other_hardware_or_runtimes_is_passed_over(bundle, tmp_path, change):
    remember(tmp_path, kept(bundle, **change))

    assert recall(tmp_path, bundle.digest) is None


def test_tuning_that_is_damaged_is_passed_over_and_told(bundle, tmp_path, caplog):
    path = remember(tmp_path, kept(bundle))
    path.write_text(path.read_text().replace('"threads": 3', '"threads": -3'))

    assert recall(tmp_path, bundle.digest) is None
    assert "run 'gluon-edge tune' again" in caplog.text


def test_tune_without_a_golden_sample_says_so(tmp_path, capsys):
    folder = classification_bundle(tmp_path / "colours", golden=False)

    assert main(["tune", str(folder)]) == 1
    assert "has no golden/input.png; it cannot be tested" in capsys.readouterr().err

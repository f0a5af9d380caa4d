"""Cameras of one node that share a session, and one that has its own: another bundle, its own labels, its own thread."""

import json
import signal
from importlib.resources import files

import bundles
import jsonschema
import pytest
from real_parts import wait_until


@pytest.fixture
def classifier(tmp_path):
    return bundles.classification_bundle(tmp_path / "colours")


@pytest.fixture
def video(tmp_path):
    return bundles.squares_video(tmp_path / "v.avi", [{"green": (10, 10, 100)}] * 40)


def cameras(video, classifier, *, loop="true", own=""):
    return (
        f'[cameras.gate]\nsource = "{video}"\nloop = {loop}\n[cameras.yard]\nsource = "{video}"\nloop = {loop}\n'
        f'[cameras.door]\nsource = "{video}"\nloop = {loop}\n[cameras.door.model]\nbundle = "{classifier}"\n{own}'
    )


def test_run_when_a_camera_has_a_model_of_its_own_then_each_is_told_by_its_own_bundle(
    broker, listen, run_agent, config, video, classifier
):
    subscriber = listen(broker)
    agent = run_agent(config(broker, cameras(video, classifier), events="frames_per_s = 5"))

    told = {name: subscriber.wait_for(f"{name}/event") for name in ("gate", "yard", "door")}
    info = subscriber.wait_for("/info")
    home = subscriber.wait_for("device/n1/config")
    health = subscriber.wait_for("/health", lambda h: min(c["inferred"] for c in h["cameras"].values()) > 3)

    assert {name: event["model"]["name"] for name, event in told.items()} == {
        "gate": "test-detection",
        "yard": "test-detection",
        "door": "test-classification",
    }
    assert told["door"]["object"]["box"] is None
    assert len(told["gate"]["object"]["box"]) == 4
    assert info["model"]["name"] == "test-detection"
    assert [name for name, camera in info["cameras"].items() if "model" in camera] == ["door"]
    assert info["cameras"]["door"]["model"]["name"] == "test-classification"
    assert info["cameras"]["door"]["model"]["labels"][1] == {"label": "green", "topic": "green"}
    jsonschema.validate(info, json.loads((files("edge") / "schemas" / "info-1.0.json").read_text()))
    assert "door_green" in home["components"]
    assert set(health["cameras"]) == {"gate", "yard", "door"}
    seqs = [event["seq"] for event in subscriber.events()]
    assert sorted(seqs) == list(range(min(seqs), min(seqs) + len(seqs))), "one counter for all, nothing twice"
    agent.signal(signal.SIGTERM)
    assert agent.wait() == 0


def test_run_when_every_file_has_ended_on_every_model_then_it_ends_with_0(
    broker, listen, run_agent, config, video, classifier
):
    subscriber = listen(broker)
    agent = run_agent(config(broker, cameras(video, classifier, loop="false")))
    assert agent.wait(60) == 0
    ends = {e["camera"]: e["type"] for e in subscriber.events()}
    assert ends == dict.fromkeys(("gate", "yard", "door"), "end")


def test_run_when_the_threshold_is_commanded_then_it_is_that_of_every_model(
    broker, listen, run_agent, config, video, classifier
):
    subscriber = listen(broker)
    agent = run_agent(config(broker, cameras(video, classifier, own="threshold = 0.01"), events="hold_s = 0.1"))
    for name in ("gate", "door"):
        subscriber.wait_for(f"{name}/count/green", lambda count: count == 1)
    command = {"id": "t1", "args": {"value": 1.0}}
    subscriber.client.publish("edge/n1/cmd/threshold", json.dumps(command), qos=1)
    assert subscriber.wait_for("ack/t1")["status"] == "done"
    for name in ("gate", "yard", "door"):
        wait_until(lambda n=name: subscriber.payloads(f"{n}/count/green")[-1] == 0, 60, f"{name} sees nothing")
    agent.signal(signal.SIGTERM)
    assert agent.wait() == 0


def test_run_when_a_cameras_own_bundle_cannot_be_used_then_it_says_whose_it_is(run_agent, config, video, tmp_path):
    agent = run_agent(config(None, cameras(video, tmp_path / "nothing")))
    assert agent.wait() == 1
    assert "cameras.door.model: " in agent.said
    assert str(tmp_path / "nothing") in agent.said
    assert "Traceback" not in agent.said

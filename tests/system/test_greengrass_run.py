"""`gluon-edge run` as a Greengrass component: a process, its environment and its socket, and nothing else of Greengrass.

The nucleus is the double of tests/greengrass_double; what is asserted about messages is what a subscriber would see.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import bundles
import cv2
import jsonschema
import pytest
from greengrass_double import CLASSIC, LITE, Double
from greengrass_double.limits import as_text
from test_agent import RED_THEN_BLUE, schema

from edge.bundle.bundle import read_bundle
from export.component.access import access_control
from export.pack import drawn_image

ROOT = Path(__file__).resolve().parents[2]
ACCESS = access_control("com.example.GluonEdge", aws_ml_topic="ml/dlr/object-detection")


class Component:
    """A process started as a nucleus starts a component: its environment, its work folder."""

    def __init__(self, double, folder):
        self.log = folder / f"component-{time.monotonic_ns()}.log"
        work = folder / "work"
        work.mkdir(exist_ok=True)
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("GLUON_EDGE_")}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-W", "error", "-m", "edge", "run"],
                cwd=work,
                stdout=log,
                stderr=log,
                env={**inherited, "PYTHONPATH": str(ROOT), **double.env},
            )

    @property
    def said(self):
        return self.log.read_text()

    def wait(self, seconds=60):
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            pytest.fail(f"the component is still running; it said:\n{self.said}")


@pytest.fixture
def start(tmp_path):
    made = []

    def run(double):
        made.append(Component(double, tmp_path))
        return made[-1]

    yield run
    for component in made:
        if component.process.poll() is None:
            component.process.kill()
        component.process.wait(10)


@pytest.fixture
def double(request):
    with tempfile.TemporaryDirectory(prefix="gg") as folder:
        made = Double(Path(folder) / "ipc", getattr(request, "param", LITE)).start()
        yield made
        made.close()


def configured(bundle, source, **more):
    return {
        "model": {"bundle": str(bundle), "threads": 1},
        "cameras": {"door": {"source": str(source), "loop": True}},
        "events": {"hold_s": 0.3},
        "health": {"every_s": 0.5},
        "accessControl": ACCESS,
        **more,
    }


def until(condition, component, seconds=60):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.02)
    pytest.fail(f"waited {seconds} s in vain; the component said:\n{component.said}")


def events(double):
    return [json.loads(p) for _, t, p in list(double.arrived) if t == "edge/kerb-1/door/event"]


@pytest.fixture
def video(tmp_path):
    return bundles.squares_video(tmp_path / "squares.avi", RED_THEN_BLUE)


@pytest.mark.alone
def test_run_when_started_as_a_component_then_it_publishes_what_the_shipped_detector_sees(
    double, start, street, tmp_path
):
    picture = tmp_path / "street.png"
    cv2.imwrite(str(picture), drawn_image(read_bundle(street).manifest.input))
    aws = {"payload": "aws-ml-v1", "aws_ml": {"topic": "ml/dlr/object-detection", "every_s": 0.5}}
    double.config = configured(street, picture, **aws)

    component = start(double)
    until(lambda: double.states == ["RUNNING"], component)
    told = until(lambda: events(double), component)

    for event in told:
        jsonschema.validate(event, schema("event/1.0"))
    assert told[0]["node"] == "kerb-1"
    body = until(lambda: [p for _, t, p in double.arrived if t == "ml/dlr/object-detection"], component)[0]
    assert json.loads(body)["inference-description"] == "Top 5 predictions with score 0.5 or above "
    assert {tuple(r) for r in json.loads(body)["inference-results"]} <= {("Label", "Score", "Boundaries")}
    statuses = [p for _, t, p in double.arrived if t == "edge/kerb-1/status"]
    assert statuses[0] == b"online"
    assert not [e for e in double.errors if "Unauthorized" in e or "large" in e], double.errors
    begun = time.monotonic()
    component.process.send_signal(signal.SIGTERM)
    assert component.wait() == 0, component.said
    assert time.monotonic() - begun < 5
    assert [p for _, t, p in double.arrived if t == "edge/kerb-1/status"][-1] == b"stopped"


@pytest.mark.parametrize("double", [LITE, CLASSIC], ids=["lite", "classic"], indirect=True)
def test_run_when_the_configuration_is_deployed_then_it_takes_effect_without_a_new_process(
    double, start, detector, video
):
    config = configured(detector, video)
    double.config = as_text(config) | {"accessControl": ACCESS} if double.kind is LITE else config
    component = start(double)
    until(lambda: events(double), component)

    double.deploy({"events": {"labels": '["blue"]'}})
    until(lambda: "reload: changed events.labels" in component.said, component)
    last = max(e["seq"] for e in events(double))

    def late():
        return [e["object"]["label"] for e in events(double) if e["seq"] > last + 2 and e["type"] == "new"]

    assert set(until(lambda: late() if len(late()) > 1 else None, component)) == {"blue"}
    double.deploy({"events": {"hold_s": "for ever"}})
    if double.kind is LITE:
        until(lambda: "going on with the configuration that runs" in component.said, component)
    else:
        assert double.errors["rejected deployment"] == 1
    assert component.process.poll() is None


def test_run_when_the_camera_is_away_then_it_is_running_and_stays(double, start, detector, tmp_path):
    double.config = configured(
        detector, tmp_path / "not-there.avi", cameras={"door": {"source": "http://127.0.0.1:9/"}}
    )

    component = start(double)

    until(lambda: double.states == ["RUNNING"], component)
    assert component.process.poll() is None
    component.process.send_signal(signal.SIGTERM)
    assert component.wait() == 0, component.said


def test_run_when_the_nucleus_has_forgotten_the_component_then_it_ends_non_zero_and_goes_on_after_its_restart(
    double, start, detector, video
):
    double.config = configured(detector, video, mqtt={"reconnect_min_s": 0.1, "reconnect_max_s": 0.2})
    component = start(double)
    until(lambda: len(events(double)) >= 2, component)

    double.stop(forget_tokens=True)
    double.start()

    assert component.wait() == 1
    assert "SVCUID" in component.said
    assert "Traceback" not in component.said
    again = start(double)
    until(lambda: len({e["boot_id"] for e in events(double)}) == 2, again)
    first = next(iter(events(double)))["boot_id"]
    numbers = [e["seq"] for e in events(double) if e["boot_id"] == first]
    assert sorted(set(numbers)) == list(range(min(numbers), max(numbers) + 1)), "an event that was accepted is missing"


def test_run_when_told_over_the_nucleus_then_commands_are_done_and_answered(double, start, detector, video):
    double.config = configured(detector, video, aws={"jobs": True})
    component = start(double)
    until(lambda: events(double), component)

    until(lambda: "$aws/things/kerb-1/shadow/name/gluon-edge/get" in {t for _, t, _ in double.arrived}, component)
    assert "$aws/things/kerb-1/jobs/notify-next" in double.subscribed("mqttproxy")
    assert not [e for e in double.errors if "Unauthorized" in e], double.errors
    assert double.say("edge/kerb-1/cmd/ping", b'{"id":"p1"}') == 1

    def answers():
        return [json.loads(p) for _, t, p in list(double.arrived) if t == "edge/kerb-1/ack/p1"]

    assert until(answers, component)[0]["status"] == "done"


def test_run_when_the_configuration_is_wrong_then_it_ends_with_the_key_and_tells_the_nucleus(double, start, detector):
    double.config = configured(detector, "x.avi", cameras={"door": {"sorce": "x"}})

    component = start(double)

    assert component.wait() == 1
    assert "cameras.door.sorce: unknown key; did you mean 'source'?" in component.said
    assert double.states == ["ERRORED"]

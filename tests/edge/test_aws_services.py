"""Jobs and shadow against a double that answers as AWS documents, errors included; without a broker."""

import json

import pytest
from aws_double import Services

from edge.aws.jobs import Jobs, Updates
from edge.aws.services import AwsServices
from edge.aws.shadow import Settings, Shadow
from edge.errors import CameraError
from edge.updates.state import Update
from edge.updates.updater import BusyError

GOOD = {"operation": "update-model", "url": "https://models.example/a.zip", "sha256": "0" * 64}


class Node:
    """What a node has: updates, settings, a connection that may be down."""

    def __init__(self, services):
        self.services = services
        self.up = True
        self.deaf = False
        self.update = None
        self.busy = False
        self.cancelled = []
        self.settings = {"threshold": 0.5, "detect": {"door": True}}
        self.now = 0.0
        updates = Updates(self.request, lambda: self.update, lambda: None, self.cancel)
        setters = {"threshold": self.set_threshold, "detect": self.set_detect}
        self.jobs = Jobs("kerb-1", self.say, updates, mono=lambda: self.now)
        settings = Settings(setters, lambda: json.loads(json.dumps(self.settings)))
        self.shadow = Shadow("kerb-1", "gluon-edge", self.say, settings, mono=lambda: self.now)
        self.parts = AwsServices([self.jobs, self.shadow], every_s=0.0)
        self.queue = []

    def say(self, topic, payload):
        if not self.up:
            return False
        if not self.deaf:
            self.queue += self.services.handle(topic, payload)
        return True

    def settle(self, follows=()):
        """Everything that is said is heard, until nobody says anything."""
        self.queue += follows
        for _ in range(200):
            while self.queue:
                topic, body = self.queue.pop(0)
                assert any(_matches(f, topic) for f in self.parts.filters), f"{topic} is not subscribed to"
                self.parts.heard(topic, json.dumps(body).encode())
            self.parts.step()
            if not self.queue:
                return
        pytest.fail("they never come to an end")

    def connect(self):
        self.parts.connected()
        self.settle()

    def request(self, request):
        if self.busy:
            raise BusyError("another update is probing")
        self.update = Update(request=request)
        return self.update

    def phase(self, phase, **more):
        self.update = self.update.model_copy(update={"phase": phase, **more})
        self.settle()

    def cancel(self, ident):
        self.cancelled.append(ident)
        return True

    def set_threshold(self, value):
        if not isinstance(value, float) or not 0 <= value <= 1:
            raise ValueError("threshold is a number from 0 to 1")
        self.settings["threshold"] = value

    def set_detect(self, value):
        for camera, on in value.items():
            if camera not in self.settings["detect"]:
                raise CameraError(f"no camera is named {camera}")
            self.settings["detect"][camera] = on


def _matches(pattern, topic):
    from paho.mqtt.client import topic_matches_sub

    return topic_matches_sub(pattern, topic)


@pytest.fixture
def cloud():
    return Services()


@pytest.fixture
def node(cloud):
    node = Node(cloud)
    node.connect()
    return node


def statuses(cloud, job="j1"):
    return [(status, details.get("phase")) for status, details in cloud.jobs[job]["history"]]


def test_job_when_its_update_succeeds_then_each_phase_is_told_and_its_end(cloud, node):
    node.settle(cloud.create_job("j1", GOOD))
    assert node.update.request.id == "job:j1"
    node.phase("probing", version="1.1.0")
    node.phase("watching")
    node.phase("committed")
    assert statuses(cloud) == [
        ("IN_PROGRESS", "downloading"),
        ("IN_PROGRESS", "probing"),
        ("IN_PROGRESS", "watching"),
        ("SUCCEEDED", "committed"),
    ]
    assert cloud.jobs["j1"]["statusDetails"]["version"] == "1.1.0"


@pytest.mark.parametrize("phase", ["failed", "rolled_back"])
def test_job_when_its_update_fails_then_told_why_and_the_next_one_is_taken(cloud, node, phase):
    node.settle(cloud.create_job("j1", GOOD))
    node.settle(cloud.create_job("j2", GOOD))
    assert cloud.jobs["j2"]["status"] == "QUEUED", "one at a time"
    node.phase(phase, reason="x" * 5000)
    assert cloud.jobs["j1"]["status"] == "FAILED"
    assert cloud.jobs["j1"]["statusDetails"]["reason"] == "x" * 1024
    assert node.update.request.id == "job:j2"
    assert cloud.jobs["j2"]["status"] == "IN_PROGRESS"


@pytest.mark.parametrize(
    "document",
    [
        {},
        "text",
        None,
        {**GOOD, "operation": "reboot"},
        {**GOOD, "sha256": "abc"},
        {**GOOD, "url": "ftp://x/y"},
        {**GOOD, "extra": 1},
    ],
)
def test_job_when_its_document_asks_for_nothing_we_do_then_rejected_with_the_reason(cloud, node, document):
    node.settle(cloud.create_job("j1", document))
    assert cloud.jobs["j1"]["status"] == "REJECTED"
    assert cloud.jobs["j1"]["statusDetails"]["reason"]
    assert node.update is None


def test_job_when_another_update_is_under_way_then_rejected(cloud, node):
    node.busy = True
    node.settle(cloud.create_job("j1", GOOD))
    assert cloud.jobs["j1"]["status"] == "REJECTED"
    assert "another update" in cloud.jobs["j1"]["statusDetails"]["reason"]


def test_job_when_somebody_else_changed_its_version_then_told_again_with_the_right_one(cloud, node):
    node.settle(cloud.create_job("j1", GOOD))

    def touch():
        cloud.jobs["j1"]["versionNumber"] += 3

    cloud.interfere.append(touch)
    node.phase("probing")
    node.phase("committed")
    assert statuses(cloud)[-2:] == [("IN_PROGRESS", "probing"), ("SUCCEEDED", "committed")]


def test_job_when_the_node_was_killed_and_comes_back_then_it_is_the_same_update_and_ends(cloud, node):
    node.settle(cloud.create_job("j1", GOOD))
    node.phase("probing")
    again = Node(cloud)
    again.update = node.update.model_copy(update={"phase": "committed"})  # it ended while there was no connection
    again.connect()
    assert cloud.jobs["j1"]["status"] == "SUCCEEDED"
    assert again.update.request.id == "job:j1"


def test_job_when_it_is_cancelled_then_its_update_is_given_up(cloud, node):
    node.settle(cloud.create_job("j1", GOOD))
    node.settle(cloud.cancel_job("j1"))
    assert node.cancelled == ["job:j1"]
    node.phase("failed", reason="it was cancelled")
    assert cloud.jobs["j1"]["status"] == "CANCELED"


def test_job_when_it_ended_there_before_we_told_then_it_is_let_go(cloud, node):
    node.settle(cloud.create_job("j1", GOOD))
    cloud.jobs["j1"]["status"] = "TIMED_OUT"
    node.phase("probing")
    assert node.cancelled == ["job:j1"]
    node.settle(cloud.create_job("j2", GOOD))
    assert cloud.jobs["j2"]["status"] == "IN_PROGRESS"


def test_job_when_nothing_is_answered_then_asked_again_with_the_same_token(cloud, node):
    node.deaf = True
    node.settle(cloud.create_job("j1", GOOD))
    assert cloud.jobs["j1"]["status"] == "QUEUED"
    node.deaf = False
    node.now += 5
    node.settle()
    assert cloud.jobs["j1"]["status"] == "QUEUED", "not yet"
    node.now += 6
    node.settle()
    assert cloud.jobs["j1"]["status"] == "IN_PROGRESS"


@pytest.mark.parametrize(
    "payload", [b"", b"[]", b"\xff", b'{"execution": 5}', b"[" * 9000, b'{"execution": {"jobId": 7}}']
)
def test_services_when_nonsense_is_heard_then_the_next_job_is_taken_all_the_same(cloud, node, payload):
    for topic in (
        "jobs/notify-next",
        "jobs/start-next/accepted",
        "jobs/x/update/rejected",
        "shadow/name/gluon-edge/update/delta",
    ):
        node.parts.heard(f"$aws/things/kerb-1/{topic}", payload)
    node.settle(cloud.create_job("j1", GOOD))
    assert cloud.jobs["j1"]["status"] == "IN_PROGRESS"


def reported(cloud):
    return cloud.shadow("gluon-edge")["state"]["reported"]


@pytest.mark.usefixtures("node")
def test_shadow_when_there_is_none_then_it_is_made(cloud):
    assert reported(cloud) == {"threshold": 0.5, "detect": {"door": True}}


def test_shadow_when_something_is_desired_then_done_and_reported_and_the_delta_ends(cloud, node):
    node.settle(cloud.desire("gluon-edge", {"threshold": 0.7, "detect": {"door": False}}))
    assert node.settings == {"threshold": 0.7, "detect": {"door": False}}
    assert reported(cloud) == {"threshold": 0.7, "detect": {"door": False}}


def test_shadow_when_it_was_desired_while_the_node_was_away_then_done_on_connect(cloud):
    cloud.desire("gluon-edge", {"threshold": 0.9})
    node = Node(cloud)
    node.connect()
    assert node.settings["threshold"] == 0.9
    assert reported(cloud)["threshold"] == 0.9


def test_shadow_when_what_is_desired_cannot_be_then_the_reason_is_reported_and_goes_with_it(cloud, node):
    node.settle(cloud.desire("gluon-edge", {"threshold": 7.0, "colour": "red", "detect": {"barn": True}}))
    errors = reported(cloud)["errors"]
    assert "0 to 1" in errors["threshold"]
    assert "this node knows threshold, detect" in errors["colour"]
    assert "barn" in errors["detect"]
    assert reported(cloud)["threshold"] == 0.5
    node.settle(cloud.desire("gluon-edge", {"threshold": 0.6, "colour": None, "detect": {"barn": None, "door": False}}))
    assert "errors" not in reported(cloud)
    assert reported(cloud)["threshold"] == 0.6


def test_shadow_when_what_cannot_be_is_no_longer_desired_then_its_error_goes_although_no_delta_comes(cloud, node):
    node.settle(cloud.desire("gluon-edge", {"colour": "red", "detect": {"barn": True}}))
    assert set(reported(cloud)["errors"]) == {"colour", "detect"}

    node.settle(cloud.desire("gluon-edge", {"colour": None}))
    assert set(reported(cloud)["errors"]) == {"detect"}

    node.settings["detect"]["barn"] = True  # it is the case now, by other means
    node.settle()
    assert "errors" not in reported(cloud)
    asked = len(cloud.heard)
    node.settle()
    assert len(cloud.heard) == asked, "and that is all"


def test_shadow_when_somebody_was_faster_then_read_anew_and_told_again(cloud, node):
    cloud.interfere.append(lambda: cloud.desire("gluon-edge", {"detect": {"door": False}}))
    node.settings["threshold"] = 0.8
    node.settle()
    assert reported(cloud) == {"threshold": 0.8, "detect": {"door": False}}
    assert node.settings["detect"] == {"door": False}


def test_shadow_when_a_delta_was_overtaken_then_it_is_not_heeded(cloud, node):
    old = cloud.desire("gluon-edge", {"threshold": 0.1})
    node.settle(cloud.desire("gluon-edge", {"threshold": 0.2}))
    node.settle(old)
    assert node.settings["threshold"] == 0.2


def test_shadow_when_everything_is_told_then_the_document_stays_under_5_kb(cloud, node):
    node.settings["update"] = {"reason": "x" * 6000}
    node.settle()
    assert "update" not in reported(cloud)
    assert reported(cloud)["threshold"] == 0.5
    assert max(size for topic, size in cloud.heard if topic.endswith("/update")) <= 5 * 1024

"""What the service manager is told, over a socket like systemd's; and what counts as work."""

import os
import socket

import pytest

from edge.health.liveness import Liveness
from edge.systemd.notify import NoManager, notifier


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path):
    address = str(tmp_path / "notify") if request.param == "path" else f"@gluon-edge-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind("\0" + address[1:] if address[0] == "@" else address)
        s.settimeout(2)
        yield address, lambda: s.recv(4096).decode().splitlines()


def test_notifier_when_it_tells_then_the_manager_reads_its_words(manager):
    address, read = manager
    told = notifier({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "2000000", "WATCHDOG_PID": str(os.getpid())})
    assert told.watchdog_s == 2.0
    told.ready("2 of 2\ncameras")
    assert read() == ["READY=1", "STATUS=2 of 2 cameras"]
    told.alive()
    assert read() == ["WATCHDOG=1"]
    told.reloading()
    assert read()[0] == "RELOADING=1"
    told.stopping()
    assert read() == ["STOPPING=1"]


def test_notifier_when_the_manager_is_gone_then_nothing_fails(tmp_path):
    told = notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")})
    told.ready("x")
    assert told.watchdog_s is None


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:1234"}])
def test_notifier_when_nobody_watches_then_it_is_silent(environ):
    assert isinstance(notifier(environ), NoManager)


@pytest.mark.parametrize("usec", ["", "0", "-5", "soon"])
def test_notifier_when_the_watchdog_is_not_for_us_then_there_is_none(usec, tmp_path):
    at = {"NOTIFY_SOCKET": str(tmp_path / "n")}
    assert notifier({**at, "WATCHDOG_USEC": usec}).watchdog_s is None
    assert notifier({**at, "WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"}).watchdog_s is None


class Node:
    def __init__(self, rarest_s=0.0):
        self.cameras, self.now = ["a"], 0.0
        self.live = Liveness(lambda: self.cameras, rarest_s=rarest_s, mono=lambda: self.now)

    def works_after(self, seconds):
        self.now += seconds
        return self.live.works()


def test_liveness_when_frames_go_all_the_way_then_it_works_and_only_then():
    node = Node()
    node.live.begin()
    assert not node.works_after(1), "begun is not finished"
    node.live.finish()
    assert node.works_after(1)
    assert not node.works_after(1), "an online camera that gives nothing"
    node.live.begin()
    node.live.fail()
    assert not node.works_after(1), "a model that fails"


def test_liveness_when_no_camera_can_give_a_frame_then_waiting_is_its_work_but_hanging_is_not():
    node = Node()
    node.cameras = []
    assert node.works_after(100)
    node.live.begin()
    assert not node.works_after(1), "the model hangs, whatever the cameras do"


def test_liveness_when_frames_are_asked_for_rarely_then_it_is_patient():
    node = Node(rarest_s=10)
    node.live.begin()
    node.live.finish()
    assert node.works_after(0)
    assert node.works_after(19)
    assert not node.works_after(2)

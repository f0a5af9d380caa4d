"""Snapshots, through a real broker from a real agent."""

import signal

import bundles
import cv2
import numpy as np
import pytest
from test_commands_wire import tell


@pytest.fixture
def camera(tmp_path):
    video = bundles.squares_video(tmp_path / "v.avi", ([{"red": (10, 10, 40)}] * 5 + [{}] * 5) * 10)
    return f'[cameras.door]\nsource = "{video}"\nloop = true\n'


def picture(subscriber, ending):
    subscriber.wait_for(ending)
    message = next(m for m in subscriber.messages if m.topic.endswith(ending))
    return message, cv2.imdecode(np.frombuffer(message.payload, np.uint8), cv2.IMREAD_COLOR)


def test_snapshot_when_configured_then_events_and_commands_send_one_without_what_is_masked(
    broker, listen, run_agent, config, camera
):
    subscriber = listen(broker)
    # The right half is nobody's business.
    private = "privacy = [[[0.5, 0.0], [1.0, 0.0], [1.0, 1.0], [0.5, 1.0]]]\n"
    more = "[snapshots]\nenabled = true\nmax_bytes = 8000\n"
    agent = run_agent(config(broker, camera + private, more, events="hold_s = 0\ncooldown_s = 0"))

    message, image = picture(subscriber, "door/snapshot/red")
    assert len(message.payload) <= 8000
    assert not message.retain
    width = image.shape[1]
    assert image[:, width // 2 + 4 :].max() < 24, "black, but for what JPEG makes of it"
    assert image[:, : width // 2 - 4].max() > 100

    tell(broker, "edge/n1/cmd/snapshot", {"id": "s1", "args": {"camera": "door"}})
    answer = subscriber.wait_for("ack/s1")
    assert answer["status"] == "done"
    message, _ = picture(subscriber, "door/snapshot/now")
    assert len(message.payload) == answer["result"]["bytes"]

    tell(broker, "edge/n1/door/snapshots/set", b"OFF")
    subscriber.wait_for("door/snapshots/state", lambda s: s == "OFF")
    tell(broker, "edge/n1/cmd/snapshot", {"id": "s2", "args": {"camera": "door"}})
    assert subscriber.wait_for("ack/s2")["result"]["reason"] == "snapshots of door are switched off"
    home = subscriber.wait_for("homeassistant/device/n1/config")["components"]
    assert home["door_snapshot"]["topic"] == "edge/n1/door/snapshot/now"
    assert home["door_red_image"]["image_topic"] == "edge/n1/door/snapshot/red"
    agent.signal(signal.SIGTERM)
    assert agent.wait() == 0


def test_snapshot_when_not_configured_then_no_picture_leaves_even_by_command(broker, listen, run_agent, config, camera):
    subscriber = listen(broker)
    agent = run_agent(config(broker, camera, events="hold_s = 0\ncooldown_s = 0"))
    subscriber.wait_for("/event")
    tell(broker, "edge/n1/cmd/snapshot", {"id": "s1", "args": {"camera": "door"}})

    assert subscriber.wait_for("ack/s1")["status"] == "failed"
    agent.signal(signal.SIGTERM)
    assert agent.wait() == 0
    assert not [m.topic for m in subscriber.messages if "/snapshot/" in m.topic]

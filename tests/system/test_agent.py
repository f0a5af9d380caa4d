"""The agent as a process, from a video file to a subscriber, through a real broker."""

import json
import re
import signal
import time
from importlib.resources import files

import bundles
import jsonschema
import pytest

RED_THEN_BLUE = (
    [{}] * 10
    + [{"red": (10 + i, 20, 40)} for i in range(30)]
    + [{"red": (40, 20, 40), "blue": (100, 60, 32)}] * 20
    + [{}] * 30
)


@pytest.fixture
def video(tmp_path):
    return bundles.squares_video(tmp_path / "squares.avi", RED_THEN_BLUE)


def schema(name):
    return json.loads((files("edge") / "schemas" / f"{name.replace('/', '-')}.json").read_text())


def assert_valid(messages):
    """Every message is what the published schemas promise; returns which schemas were met."""
    met = set()
    for message in messages:
        last = message.topic.rsplit("/", 1)[-1]
        if last == "status":
            assert message.payload in {b"online", b"offline", b"stopped"}
        elif "/count/" in message.topic:
            assert int(message.payload) >= 0
        elif message.topic.endswith("/detect/state"):
            assert message.payload in {b"ON", b"OFF"}
        elif message.topic == "homeassistant/device/n1/config":
            assert json.loads(message.payload)["components"]
        else:
            payload = json.loads(message.payload)
            wanted = schema(payload["schema"])
            jsonschema.validate(payload, wanted, format_checker=jsonschema.FormatChecker())
            assert payload["schema"].split("/")[0] == last
            met.add(payload["schema"])
        assert message.topic.count("/") <= 7
        assert len(message.topic.encode()) <= 256
        assert len(message.payload) <= 128 * 1024
    return met


def test_run_when_a_video_shows_squares_then_a_subscriber_hears_them_come_and_go(
    broker, listen, run_agent, config, video
):
    subscriber = listen(broker)
    agent = run_agent(config(broker, f'[cameras.door]\nsource = "{video}"', events="hold_s = 0.3\nframes_per_s = 5"))

    assert agent.wait(90) == 0, agent.said
    subscriber.wait_for("/status", lambda p: p == "stopped")
    events = subscriber.events("door")

    assert [(e["type"], e["object"]["label"]) for e in events] == [
        ("new", "red"),
        ("new", "blue"),
        ("end", "red"),
        ("end", "blue"),
    ]
    new_red, new_blue, end_red, end_blue = events
    assert new_red["id"] == end_red["id"] != new_blue["id"] == end_blue["id"]
    assert new_red["object"]["box"] == pytest.approx([10 / 160, 20 / 120, 50 / 160, 60 / 120], abs=0.02)
    assert new_blue["object"]["box"] == pytest.approx([100 / 160, 60 / 120, 132 / 160, 92 / 120], abs=0.02)
    assert [e["seq"] for e in events] == [1, 2, 3, 4]
    assert new_red["frame"] == {"id": 10, "width": 160, "height": 120}
    assert new_red["object"]["start"] == new_red["captured_at"] <= end_red["object"]["end"] <= end_red["captured_at"]
    assert subscriber.payloads("door/count/red") == [0, 1, 0]
    states = [p["state"] for p in subscriber.payloads("door/state")]
    assert states == ["online", "offline"]
    assert assert_valid(subscriber.messages) == {
        "event/1.0",
        "frame/1.0",
        "health/1.0",
        "info/1.0",
        "state/1.0",
        "update/1.0",
    }
    frames = subscriber.payloads("door/frame")
    assert 15 <= len(frames) <= 25, "4.5 s at 5 frames a second"
    assert [m.qos for m in subscriber.messages if m.topic.endswith("/event")] == [1] * 4
    assert "Traceback" not in agent.said
    assert "Received PUBLISH from gluon-edge-n1" in broker.log.read_text()
    heard = re.findall(r"gluon-edge-n1 1 (\S+)", broker.log.read_text())
    assert set(heard) == {"edge/n1/cmd/+", "edge/n1/door/detect/set", "homeassistant/status"}, "it does not hear itself"


def test_run_when_a_subscriber_comes_late_then_retained_topics_tell_it_the_state(
    broker, listen, run_agent, config, tmp_path
):
    video = bundles.squares_video(tmp_path / "v.avi", [{"green": (30, 30, 48)}] * 40)
    first = listen(broker)
    agent = run_agent(config(broker, f'[cameras.door]\nsource = "{video}"\nloop = true'))
    first.wait_for("count/green", lambda p: p == 1)

    late = listen(broker)

    assert late.wait_for("n1/status") == "online"
    assert late.wait_for("door/state")["state"] == "online"
    assert late.wait_for("n1/info")["cameras"] == {"door": {"kind": "video", "enabled": True}}
    assert late.wait_for("count/green") == 1
    retained = {m.topic for m in late.messages if m.retain}
    assert retained == {
        "edge/n1/status",
        "edge/n1/info",
        "edge/n1/update",
        "edge/n1/door/state",
        "edge/n1/door/detect/state",
        "homeassistant/device/n1/config",
    } | {f"edge/n1/door/count/{label}" for label in bundles.LABELS}
    agent.signal(signal.SIGTERM)
    assert agent.wait() == 0


@pytest.mark.alone
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_run_when_it_is_told_to_stop_under_load_then_it_ends_at_once_and_says_stopped(
    number, broker, listen, run_agent, config, tmp_path
):
    flicker = [{"red": (10, 10, 40)}, {"blue": (90, 50, 40)}] * 50
    video = bundles.squares_video(tmp_path / "v.avi", flicker)
    subscriber = listen(broker)
    cameras = "".join(f'[cameras.c{i}]\nsource = "{video}"\npace = "fast"\nloop = true\n' for i in range(3))
    agent = run_agent(config(broker, cameras, events="hold_s = 0\ncooldown_s = 0\nframes_per_s = 100"))
    subscriber.wait_for("c2/event")
    time.sleep(0.5)

    begun = time.monotonic()
    agent.signal(number)
    status = agent.wait(10)

    assert status == 0, agent.said
    assert time.monotonic() - begun < 5
    assert subscriber.wait_for("/status", lambda p: p == "stopped")
    events = subscriber.events()
    seqs = sorted(e["seq"] for e in events)
    assert seqs == list(range(1, len(seqs) + 1)), "none lost, none twice"
    for replayed in (True, False):
        stream = [e["seq"] for e in events if e["replayed"] is replayed]
        assert stream == sorted(stream), "in order"
    ends = {c: max(subscriber.events(c), key=lambda e: e["seq"])["type"] for c in ("c0", "c1", "c2")}
    assert set(ends.values()) == {"end"}
    assert subscriber.payloads("/status")[-1] == "stopped", "nothing is said after stopped"
    assert "Traceback" not in agent.said


def test_run_when_it_is_killed_then_the_last_will_says_offline_and_no_number_is_used_twice(
    broker, listen, run_agent, config, video
):
    subscriber = listen(broker)
    toml = config(broker, f'[cameras.door]\nsource = "{video}"\nloop = true\npace = "fast"', events="hold_s = 0")
    before: set[int] = set()
    boots = set()
    for run in range(1, 4):
        already = len(subscriber.events())
        agent = run_agent(toml)
        subscriber.wait_for("/event", lambda _: len(subscriber.events()) > already + 4)  # noqa: B023
        agent.kill()
        subscriber.wait_for("/status", lambda _: subscriber.payloads("/status").count("offline") == run)  # noqa: B023
        fresh = subscriber.events()[already:]
        assert before.isdisjoint(e["seq"] for e in fresh)
        before |= {e["seq"] for e in fresh}
        boots |= {e["boot_id"] for e in fresh}
    assert len(boots) == 3
    assert subscriber.payloads("/status").count("offline") == 3
    assert listen(broker).wait_for("n1/status") == "offline"


def test_run_when_a_second_agent_takes_the_same_name_then_it_is_refused(broker, listen, run_agent, config, video):
    subscriber = listen(broker)
    toml = config(broker, f'[cameras.door]\nsource = "{video}"\nloop = true')
    first = run_agent(toml)
    subscriber.wait_for("/status", lambda p: p == "online")

    second = run_agent(toml)

    assert second.wait() == 1
    assert second.said.splitlines()[-1].startswith("gluon-edge: error: another agent runs as node 'n1'")
    first.signal(signal.SIGTERM)
    assert first.wait() == 0


def test_run_when_a_fast_file_ends_then_every_frame_was_used_and_delivered(broker, listen, run_agent, config, tmp_path):
    video = bundles.squares_video(tmp_path / "v.avi", [{"red": (10, 10, 40)}, {}] * 100)
    subscriber = listen(broker)
    toml = config(broker, f'[cameras.a]\nsource = "{video}"\npace = "fast"', events="hold_s = 0\ncooldown_s = 0")

    agent = run_agent(toml)

    assert agent.wait(90) == 0, agent.said
    subscriber.wait_for("/status", lambda p: p == "stopped")
    figures = subscriber.payloads("/health")[-1]
    assert figures["cameras"]["a"]["frames"] == figures["cameras"]["a"]["inferred"] == 200
    assert figures["cameras"]["a"]["dropped"] == 0
    events = subscriber.events("a")
    assert [e["type"] for e in events] == ["new", "end"] * 100
    assert [e["frame"]["id"] for e in events] == list(range(200))


def test_run_when_transport_is_stdout_then_each_message_is_a_json_line(run_agent, config, video):
    agent = run_agent(config(None, f'[cameras.a]\nsource = "{video}"\npace = "fast"'), GLUON_EDGE_TRANSPORT="stdout")

    assert agent.wait(90) == 0
    lines = [json.loads(line) for line in agent.said.splitlines() if line.startswith("{")]
    assert lines[0] == {"topic": "edge/n1/status", "qos": 1, "retain": True, "payload": "online"}
    assert lines[-1]["payload"] == "stopped"
    events = [line["payload"] for line in lines if line["topic"] == "edge/n1/a/event"]
    assert {e["object"]["label"] for e in events} == {"red", "blue"}
    for event in events:
        jsonschema.validate(event, schema("event/1.0"))

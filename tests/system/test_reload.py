"""The configuration read again while the agent runs."""

import signal
import time

import bundles
import pytest
from test_commands_wire import tell


@pytest.fixture
def camera(tmp_path):
    video = bundles.squares_video(tmp_path / "v.avi", ([{"red": (10, 10, 40)}] * 5 + [{}] * 5) * 10)
    return f'[cameras.door]\nsource = "{video}"\nloop = true'


def test_reload_when_events_or_a_camera_changed_then_the_agent_goes_on(
    broker, listen, run_agent, config, camera, tmp_path
):
    subscriber = listen(broker)
    toml = config(broker, camera, '[commands]\nallow = ["reload"]', events="hold_s = 0\ncooldown_s = 0")
    agent = run_agent(toml)
    subscriber.wait_for("/event")
    path = tmp_path / "agent.toml"

    path.write_text("this is no TOML")
    agent.signal(signal.SIGHUP)
    agent.wait_for_line("going on with the configuration that runs")
    path.write_text(toml.replace("hold_s = 0\n", 'hold_s = 0\nlabels = ["blue"]\n'))
    agent.signal(signal.SIGHUP)
    told = subscriber.wait_for("n1/info", lambda i: "changed" in i)
    assert told["changed"] == ["events.labels"]
    agent.signal(signal.SIGHUP)
    agent.wait_for_line("nothing has changed")

    private = camera + "\nprivacy = [[[0, 0], [0.1, 0], [0.1, 0.1]]]\n"
    path.write_text(toml.replace(camera, private))
    before = len(subscriber.events())
    tell(broker, "edge/n1/cmd/reload", {"id": "r1"})
    assert subscriber.wait_for("ack/r1")["status"] == "done"
    subscriber.wait_for("door/state", lambda s: "opened anew" in (s["reason"] or ""))
    subscriber.wait_for("/event", lambda _: len(subscriber.events()) > before)
    assert subscriber.payloads("n1/info")[-1]["changed"] == ["cameras.door.privacy", "events.labels"]
    agent.signal(signal.SIGTERM)
    assert agent.wait() == 0

    assert agent.said.count("uplink: connected") == 1
    events = subscriber.events()
    assert len({e["boot_id"] for e in events}) == 1
    assert [e["seq"] for e in events] == list(range(1, len(events) + 1))
    ids = [e["frame"]["id"] for e in events if e["type"] == "new"]
    assert ids == sorted(ids), "its frames are counted on"


def test_reload_when_a_camera_is_switched_or_asked_otherwise_then_the_others_never_notice(
    broker, listen, run_agent, config, camera, tmp_path
):
    subscriber = listen(broker)
    yard = camera.replace("door", "yard") + "\n[cameras.yard.motion]\nevery_s = 60\n"
    base = config(broker, f"{camera}\n{yard}", events="hold_s = 0\ncooldown_s = 0")
    agent = run_agent(base)

    def reload(toml, *changed):
        (tmp_path / "agent.toml").write_text(toml)
        agent.signal(signal.SIGHUP)
        subscriber.wait_for("n1/info", lambda i: i.get("changed") == list(changed))

    def told(camera):
        return [s["state"] for s in subscriber.payloads(f"{camera}/state")]

    subscriber.wait_for("yard/event")
    subscriber.wait_for("door/event")
    off = base.replace("[cameras.yard]", "[cameras.yard]\nenabled = false")
    reload(off, "cameras.yard.enabled")
    subscriber.wait_for("yard/state", lambda s: s["state"] == "disabled")
    until_told(lambda: subscriber.payloads("yard/event")[-1]["type"] == "end")
    reload(base, "cameras.yard.enabled")
    until_told(lambda: told("yard") == ["online", "disabled", "online"])
    still = base.replace("every_s = 60", "every_s = 30\nfps = 2\nenabled = false")
    reload(still, "cameras.yard.motion.enabled", "cameras.yard.motion.every_s", "cameras.yard.motion.fps")
    reload(still.replace("[cameras.yard]", "[cameras.yard]\nfps = 5"), "cameras.yard.fps")
    until_told(lambda: told("yard")[3:] == ["offline", "online"])
    before = len(subscriber.payloads("door/event"))
    until_told(lambda: len(subscriber.payloads("door/event")) > before)
    agent.signal(signal.SIGTERM)
    assert agent.wait() == 0

    assert told("door") == ["online", "offline"], "the last when the agent was stopped"
    assert agent.said.count("uplink: connected") == 1
    events = subscriber.events()
    assert [e["seq"] for e in events] == list(range(1, len(events) + 1))


def until_told(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_reload_when_the_connection_changed_then_it_starts_anew_and_nothing_is_lost(
    broker, listen, run_agent, config, camera, tmp_path
):
    subscriber = listen(broker)
    toml = config(broker, camera, events="hold_s = 0\ncooldown_s = 0")
    agent = run_agent(toml)
    subscriber.wait_for("/event")

    (tmp_path / "agent.toml").write_text(toml.replace("reconnect_max_s = 1", "reconnect_max_s = 2"))
    agent.signal(signal.SIGHUP)
    told = subscriber.wait_for("n1/info", lambda i: "changed" in i)
    assert told["changed"] == ["mqtt.reconnect_max_s"]
    subscriber.wait_for("/event", lambda e: e["boot_id"] == told["boot_id"])
    agent.signal(signal.SIGTERM)
    assert agent.wait() == 0

    assert agent.said.count("uplink: connected") == 2
    seqs = {}
    for event in subscriber.events():
        seqs.setdefault(event["boot_id"], []).append(event["seq"])
    assert len(seqs) == 2
    assert all(found == list(range(found[0], found[0] + len(found))) for found in seqs.values())

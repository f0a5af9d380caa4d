"""New models on a running agent, through a real broker: taken when they are good, refused or rolled back when not."""

import json
import os
import signal
import subprocess
import sys

import bundles
import jsonschema
import pytest
from real_parts import ROOT, wait_until
from releases import release
from test_agent import schema
from test_commands_wire import tell

SETTINGS = (
    '[commands]\nallow = ["update", "ping"]\n'
    "[updates]\nshadow_frames = 3\nshadow_s = 20\nwatch_s = 0.5\nmax_slowdown = 1000\nmax_memory_mb = 1024\n"
)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    return tmp_path_factory.mktemp("shelf")


@pytest.fixture
def camera(tmp_path):
    video = bundles.squares_video(tmp_path / "v.avi", ([{"red": (10, 10, 40)}] * 5 + [{}] * 5) * 10)
    return f'[cameras.door]\nsource = "{video}"\nloop = true'


def ask(broker, ident, archive, sha256):
    tell(broker, "edge/n1/cmd/update", {"id": ident, "args": {"url": archive.as_uri(), "sha256": sha256}})


def the_end(subscriber, update, seconds=60):
    return subscriber.wait_for(
        "n1/update",
        lambda u: u["id"] == update and u["phase"] in {"committed", "failed", "rolled_back"},
        seconds,
    )


def test_update_when_it_is_good_then_it_goes_every_phase_and_no_frame_is_lost(
    broker, listen, run_agent, config, camera, shelf
):
    subscriber = listen(broker)
    toml = config(broker, camera, SETTINGS, events="hold_s = 0\ncooldown_s = 0\nframes_per_s = 1000")
    agent = run_agent(toml)
    subscriber.wait_for("/event")
    ask(broker, "u1", *release(shelf, "1.1.0", rounds=1))
    answer = subscriber.wait_for("ack/u1")
    assert answer["status"] == "done", answer
    ended = the_end(subscriber, answer["result"]["update"])

    assert ended["phase"] == "committed", ended
    assert ended["installed_version"] == "1.1.0"
    assert ended["found"]["shadow"]["frames"] == 3
    assert ended["found"]["shadow"]["agreement"] == 1.0
    told = subscriber.payloads("n1/update")
    phases = list(dict.fromkeys(u["phase"] for u in told))
    wanted = ["downloading", "verifying", "installing", "probing", "shadowing", "switching", "watching", "committed"]
    assert phases == [None, *wanted]
    for message in told:
        jsonschema.validate(message, schema("update/1.0"), format_checker=jsonschema.FormatChecker())
    subscriber.wait_for("/event", lambda e: e["model"]["version"] == "1.1.0")
    assert subscriber.wait_for("n1/info", lambda i: i["model"]["version"] == "1.1.0")
    before = len(subscriber.events())
    wait_until(lambda: len(subscriber.events()) > before + 2, 10, "events of the new model")
    versions = [e["model"]["version"] for e in subscriber.events("door")]
    assert versions == sorted(versions), "first the old one, then the new one"
    ids = {}
    for event in subscriber.events("door"):
        ids.setdefault(event["id"], []).append((event["type"], event["model"]["version"]))
    assert all(len({version for _, version in visit}) == 1 for visit in ids.values()), "a visit belongs to one model"
    frames = [f["frame"]["id"] for f in subscriber.payloads("door/frame")]
    assert len(frames) == len(set(frames)), "no frame is seen by both"
    health = subscriber.payloads("n1/health")[-1]["cameras"]["door"]
    assert health["frames"] - health["inferred"] - health["dropped"] <= 2
    agent.signal(signal.SIGTERM)
    assert agent.wait() == 0
    assert "Traceback" not in agent.said

    again = run_agent(toml)
    subscriber.wait_for("n1/info", lambda i: i["boot_id"] != answer["boot_id"] and i["model"]["version"] == "1.1.0")
    ask(broker, "u2", *release(shelf, "1.0.9"))
    ended = the_end(subscriber, subscriber.wait_for("ack/u2")["result"]["update"])
    assert (ended["phase"], ended["installed_version"]) == ("failed", "1.1.0")
    assert "older than 1.1.0" in ended["reason"]
    again.signal(signal.SIGTERM)
    assert again.wait() == 0


def test_update_when_live_frames_show_what_the_golden_sample_did_not_then_the_old_one_goes_on(
    broker, listen, run_agent, config, camera, shelf
):
    subscriber = listen(broker)
    settings = SETTINGS.replace("shadow_frames = 3", "shadow_frames = 12")
    agent = run_agent(config(broker, camera, settings, events="hold_s = 0\ncooldown_s = 0"))
    subscriber.wait_for("/event")
    ask(broker, "u1", *release(shelf, "2.0.0", broken="nan"))
    ended = the_end(subscriber, subscriber.wait_for("ack/u1")["result"]["update"])

    assert ended["phase"] == "failed", ended
    assert "output scores is not a number" in ended["reason"]
    assert ended["installed_version"] == "1.0.0"
    assert "shadowing" in {u["phase"] for u in subscriber.payloads("n1/update")}
    before = len(subscriber.events())
    subscriber.wait_for("/event", lambda _: len(subscriber.events()) > before + 2)
    assert {e["model"]["version"] for e in subscriber.events()} == {"1.0.0"}
    agent.signal(signal.SIGTERM)
    assert agent.wait() == 0
    assert "Traceback" not in agent.said


def test_update_when_it_goes_wrong_at_work_then_it_is_rolled_back_by_itself(
    broker, listen, run_agent, config, camera, shelf
):
    subscriber = listen(broker)
    unseen = SETTINGS.replace("shadow_frames = 3", "shadow_frames = 0").replace("watch_s = 0.5", "watch_s = 60")
    toml = config(broker, camera, unseen, events="hold_s = 0\ncooldown_s = 0")
    agent = run_agent(toml)
    subscriber.wait_for("/event")
    ask(broker, "u1", *release(shelf, "2.0.0", broken="nan"))
    ended = the_end(subscriber, subscriber.wait_for("ack/u1")["result"]["update"])

    assert (ended["phase"], ended["installed_version"]) == ("rolled_back", "1.0.0"), ended
    assert "not a number" in ended["reason"]
    before = len(subscriber.events())
    subscriber.wait_for("/event", lambda _: len(subscriber.events()) > before + 2)
    assert subscriber.events()[-1]["model"]["version"] == "1.0.0"
    ask(broker, "u2", *release(shelf, "1.5.0", rounds=1))
    subscriber.wait_for("n1/update", lambda u: u["phase"] == "watching" and u["installed_version"] == "1.5.0", 60)
    agent.signal(signal.SIGTERM)
    assert agent.wait() == 0, "what was rolled back does not keep a lower version out; and it stops while it watches"
    assert "Traceback" not in agent.said


def test_update_by_the_command_when_an_agent_runs_then_it_takes_it_over(
    broker, listen, run_agent, config, camera, shelf, tmp_path
):
    subscriber = listen(broker)
    agent = run_agent(config(broker, camera, SETTINGS))
    subscriber.wait_for("n1/status", lambda s: s == "online")
    archive, _ = release(shelf, "1.1.0", rounds=1)

    done = gluon_edge("update", archive, "-c", tmp_path / "agent.toml", "--json", state=tmp_path / "state")

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["ok"], found["phase"], found["version"]) == (True, "committed", "1.1.0")
    assert "committed" in done.stderr
    assert not list((tmp_path / "state" / "n1.models" / "inbox").iterdir())
    subscriber.wait_for("n1/info", lambda i: i["model"]["version"] == "1.1.0")
    again = gluon_edge("update", archive, "-c", tmp_path / "agent.toml", state=tmp_path / "state")
    assert again.returncode == 0, "it runs already"
    agent.signal(signal.SIGTERM)
    assert agent.wait() == 0


def test_update_by_the_command_when_no_agent_runs_then_the_next_one_watches_it(
    broker, listen, run_agent, config, camera, shelf, tmp_path
):
    toml = config(broker, camera, SETTINGS)
    (tmp_path / "agent.toml").write_text(toml)
    archive, _ = release(shelf, "1.1.0", rounds=1)
    done = gluon_edge("update", archive, "-c", tmp_path / "agent.toml", state=tmp_path / "state")
    assert done.returncode == 0, done.stderr
    assert "the next one that starts watches it" in done.stdout
    broken, _ = release(shelf, "2.0.0", broken="crooked")
    refused = gluon_edge("update", broken, "-c", tmp_path / "agent.toml", state=tmp_path / "state")
    assert refused.returncode == 1
    assert "watching" in refused.stderr

    subscriber = listen(broker)
    agent = run_agent(toml)
    subscriber.wait_for("n1/update", lambda u: u["phase"] == "committed")
    assert subscriber.payloads("n1/info")[-1]["model"]["version"] == "1.1.0"
    agent.signal(signal.SIGTERM)
    assert agent.wait() == 0
    refused = gluon_edge("update", broken, "-c", tmp_path / "agent.toml", state=tmp_path / "state")
    assert refused.returncode == 1
    assert "golden sample" in refused.stderr
    assert "Traceback" not in refused.stderr


def gluon_edge(*args, state):
    environment = {**os.environ, "GLUON_EDGE_STATE_DIR": str(state)}
    command = [sys.executable, "-W", "error", "-m", "edge", *args]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False, env=environment)

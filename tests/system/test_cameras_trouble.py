"""Cameras that are absent, vanish and return, under a running agent; and several on one model."""

import json
import signal
import time

import bundles
import numpy as np
import psutil
from onnx import TensorProto, helper, numpy_helper

from benchmarks.scoreboard.faulty import HttpCamera
from edge.cameras.pattern import draw_pattern


def test_run_when_a_camera_is_absent_then_the_others_go_on_and_it_is_told_once(
    broker, listen, run_agent, config, tmp_path
):
    video = bundles.squares_video(tmp_path / "v.avi", [{"red": (10, 10, 40)}] * 40)
    subscriber = listen(broker)
    cameras = (
        f'[cameras.good]\nsource = "{video}"\nloop = true\n'
        "[cameras.gone]\nsource = 200\n"
        '[cameras.far]\nsource = "rtsp://me:hunter2@127.0.0.1:1/stream"\n'
        "[cameras.off]\nsource = 201\nenabled = false\n"
    )
    agent = run_agent(config(broker, cameras))

    gone = subscriber.wait_for("gone/state")
    far = subscriber.wait_for("far/state")
    subscriber.wait_for("good/event")
    time.sleep(2)

    assert (gone["state"], gone["reason"][:31]) == ("offline", "/dev/video200: no such camera; ")
    assert (far["state"], far["reason"][:33]) == ("offline", "rtsp://***@127.0.0.1:1/stream: no")
    assert subscriber.wait_for("off/state")["state"] == "disabled"
    assert "hunter2" not in agent.said + "".join(map(str, subscriber.payloads("/state") + subscriber.payloads("/info")))
    subscriber.wait_for("gone/state", lambda s: s["step"] == "down")
    steps = [s["step"] for s in subscriber.payloads("gone/state")]
    assert steps == ["reopen", "restart", "down"], "each step is told once"
    assert agent.said.count("camera=gone is away") == 3
    agent.signal(signal.SIGTERM)
    assert agent.wait() == 0


def test_run_when_a_camera_vanishes_and_returns_then_its_state_follows_and_its_visits_end(
    broker, listen, run_agent, config, tmp_path
):
    video = bundles.squares_video(tmp_path / "a.avi", [{"red": (10, 10, 40)}] * 15)
    subscriber = listen(broker)
    away = tmp_path / "away.avi"
    agent = run_agent(config(broker, f'[cameras.door]\nsource = "{video}"\nloop = true', events="hold_s = 60"))
    subscriber.wait_for("door/event", lambda e: e["type"] == "new")

    video.rename(away)
    subscriber.wait_for("door/state", lambda s: s["state"] == "offline")
    end = subscriber.wait_for("door/event", lambda e: e["type"] == "end")
    subscriber.wait_for("count/red", lambda c: c == 0)
    process = psutil.Process(agent.process.pid)
    before = sum(process.cpu_times()[:2])
    time.sleep(1)
    assert sum(process.cpu_times()[:2]) - before < 0.2, "CPU stays low while the camera is away"
    away.rename(video)
    subscriber.wait_for("door/state", lambda _: subscriber.payloads("door/state")[-1]["state"] == "online")

    told = [(s["state"], s["step"]) for s in subscriber.payloads("door/state")]
    assert told[0] == told[-1] == ("online", None)
    assert told[1:-1] in ([("offline", "reopen")], [("offline", "reopen"), ("offline", "down")])
    again = subscriber.wait_for("door/event", lambda e: e["type"] == "new" and e["seq"] > end["seq"])
    assert again["id"] != end["id"]
    agent.signal(signal.SIGTERM)
    assert agent.wait() == 0


def test_run_when_cameras_share_a_slow_model_then_each_has_its_turn_and_frames_are_fresh(
    broker, listen, run_agent, config, tmp_path
):
    slow = bundles.detection_bundle(tmp_path / "slow", size=256, rounds=12)
    video = bundles.squares_video(tmp_path / "v.avi", [{"red": (10, 10, 40)}] * 100, fps=60)
    subscriber = listen(broker)
    cameras = "".join(f'[cameras.c{i}]\nsource = "{video}"\nloop = true\n' for i in range(3))
    toml = config(broker, cameras, events="frames_per_s = 1000").replace(bundles_path(config), str(slow))
    agent = run_agent(toml)
    subscriber.wait_for("c2/frame")
    time.sleep(3)
    agent.signal(signal.SIGTERM)
    assert agent.wait() == 0
    last = subscriber.wait_for("/status", lambda p: p == "stopped")
    assert last

    figures = subscriber.payloads("/health")[-1]["cameras"]
    used = [figures[f"c{i}"]["inferred"] for i in range(3)]
    assert min(used) > 0.75 * max(used), "fair"
    assert sum(f["dropped"] for f in figures.values()) > 0, "it was slower than the cameras"
    ages = sorted(f["timing"]["age_ms"] - f["timing"]["infer_ms"] for f in subscriber.payloads("/frame"))
    waits = ages[len(ages) // 2]
    infer = sorted(f["timing"]["infer_ms"] for f in subscriber.payloads("/frame"))
    assert waits < 4 * infer[len(infer) // 2] + 50, "a frame waits for its turn, never in a queue"
    ids = [f["frame"]["id"] for f in subscriber.payloads("c0/frame")]
    assert ids == sorted(set(ids))


def test_run_when_nothing_moves_then_the_model_rests_and_a_switch_wakes_it(broker, listen, run_agent, config, tmp_path):
    video = bundles.squares_video(tmp_path / "v.avi", [{"red": (10, 10, 40)}] * 40)
    subscriber = listen(broker)
    camera = f'[cameras.c]\nsource = "{video}"\nloop = true\n[cameras.c.motion]\nlinger_s = 0.2\nevery_s = 60\n'
    run_agent(config(broker, camera))

    def inferred():
        return subscriber.payloads("/health")[-1]["cameras"]["c"]["inferred"]

    subscriber.wait_for("/health", lambda h: h["cameras"]["c"]["gated"] > 10)
    before = inferred()
    subscriber.wait_for("/health", lambda h: h["cameras"]["c"]["gated"] > 30)
    assert inferred() == before
    subscriber.client.publish("edge/n1/c/motion/set", "OFF", qos=1)
    subscriber.wait_for("c/motion/state", lambda s: s == "OFF")
    subscriber.wait_for("/health", lambda h: h["cameras"]["c"]["inferred"] > before + 10)


def test_run_when_a_stream_stays_away_then_every_rung_is_told_with_its_reason_up_to_the_owners_command(
    broker, listen, run_agent, config, tmp_path
):
    camera = HttpCamera(lambda n: draw_pattern(n, np.empty((120, 160, 3), np.uint8)), fps=25)
    done = tmp_path / "reset"
    recovery = f'recovery_command = ["touch", "{done}"]\nrecovery_after_s = 5\nrecovery_per_day = 1'
    try:
        subscriber = listen(broker)
        run_agent(config(broker, f'[cameras.c]\nsource = "{camera.url}"\n{recovery}'))
        subscriber.wait_for("c/state", lambda s: s["state"] == "online")
        camera.set("drop")
        subscriber.wait_for("c/state", lambda s: s["step"] == "command")
        assert done.exists()
        camera.set("none")
        subscriber.wait_for("c/state", lambda _: subscriber.payloads("c/state")[-1]["state"] == "online")
    finally:
        camera.close()
    told = [s for s in subscriber.payloads("c/state") if s["state"] == "offline"]
    assert [s["step"] for s in told][:4] == ["reopen", "restart", "down", "command"]
    does = ["opening it again", "starting its reader anew", "it is down", "ran touch, which ended with 0"]
    for state, words in zip(told, does, strict=False):
        why, _, doing = state["reason"].partition("; ")
        assert why
        assert words in doing


def test_run_when_a_stream_freezes_and_truncates_then_health_counts_what_was_not_looked_at(
    broker, listen, run_agent, config
):
    camera = HttpCamera(lambda n: draw_pattern(n, np.empty((120, 160, 3), np.uint8)), fps=25)
    try:
        subscriber = listen(broker)
        run_agent(config(broker, f'[cameras.c]\nsource = "{camera.url}"\nfrozen_s = 1\nread_timeout_s = 1'))
        subscriber.wait_for("c/state", lambda s: s["state"] == "online")
        camera.set("freeze")
        frozen = subscriber.wait_for("/health", lambda h: h["cameras"]["c"]["repeated"] > 10)["cameras"]["c"]
        camera.set("cut-scan")
        subscriber.wait_for("/health", lambda h: h["cameras"]["c"]["damaged"] > 10)
        restarted = subscriber.wait_for("/health", lambda h: h["cameras"]["c"]["restarts"] > 0)["cameras"]["c"]
    finally:
        camera.close()
    assert frozen["damaged"] == 0
    assert restarted["frames"] == frozen["frames"], "none of them was looked at"


def bundles_path(config):
    """The bundle that the fixture's configurations name."""
    return json.loads(config(None, "").split("bundle = ")[1].split("\n")[0])


def test_run_when_the_model_fails_on_every_frame_then_it_stops_with_1_and_says_why(
    broker, listen, run_agent, config, tmp_path
):
    # The brightest value picks one of three rows: all is well in the dark, where it is warmed up.
    nodes = [
        helper.make_node("Cast", ["image"], ["f"], to=TensorProto.INT32),
        helper.make_node("ReduceMax", ["f", "axes"], ["top"], keepdims=0),
        helper.make_node("Reshape", ["top", "one"], ["row"]),
        helper.make_node("Gather", ["rows", "row"], ["scores"], axis=0),
    ]
    constants = {
        "axes": np.array([0, 1, 2, 3], np.int64),
        "one": np.array([1], np.int64),
        "rows": np.eye(3, dtype=np.float32),
    }
    graph = helper.make_graph(
        nodes,
        "broken",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", 32, 32, 3])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", 3])],
        [numpy_helper.from_array(v, k) for k, v in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    outputs = [{"name": "scores", "dtype": "float32", "shape": ["N", 3], "meaning": "softmax"}]
    broken = bundles.write_bundle(tmp_path / "broken", model, "classification", 32, outputs, {})
    video = bundles.squares_video(tmp_path / "v.avi", [{"red": (10, 10, 40)}] * 40)
    subscriber = listen(broker)
    toml = config(broker, f'[cameras.c]\nsource = "{video}"\npace = "fast"\nloop = true')

    agent = run_agent(toml.replace(bundles_path(config), str(broken)))

    assert agent.wait(20) == 1
    last = agent.said.splitlines()[-1]
    assert last.startswith("gluon-edge: error: the model failed on 30 frames in a row: "), agent.said
    assert subscriber.wait_for("/status", lambda p: p == "stopped")
    assert "Traceback" not in agent.said


def test_run_when_interrupted_twice_while_stopping_then_it_is_forced(broker, run_agent, config, tmp_path):
    video = bundles.squares_video(tmp_path / "v.avi", [{}] * 20)
    agent = run_agent(config(broker, f'[cameras.c]\nsource = "{video}"\nloop = true'))
    agent.wait_for_line("camera=c online")
    agent.wait_for_line("uplink: connected")
    # A broker that answers no more: stopping waits for it, else it might be over before the second signal comes.
    broker.process.send_signal(signal.SIGSTOP)
    try:
        agent.signal(signal.SIGINT)
        agent.wait_for_line("SIGINT: stopping")
        agent.signal(signal.SIGINT)

        assert agent.wait(30) == 130
    finally:
        broker.process.send_signal(signal.SIGCONT)

"""What a running agent tells of itself: on its topic and over HTTP the same figures, and what its governor gives up."""

import json
import signal
import socket
import urllib.request

import bundles
import jsonschema
from test_agent import schema


def _get(port, path):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as answer:
        return answer.read().decode()


def test_run_when_it_is_governed_and_listens_then_topic_and_page_tell_the_same(
    broker, listen, run_agent, config, tmp_path
):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    video = bundles.squares_video(tmp_path / "v.avi", [{"red": (10, 10, 40)}] * 20)
    more = f'listen = "127.0.0.1:{port}"\n[governor]\nlatency_ms = 0.001\ngives = ["fps"]\n'
    subscriber = listen(broker)
    agent = run_agent(config(broker, f'[cameras.door]\nsource = "{video}"\nloop = true\n', more))

    governed = subscriber.wait_for(
        "n1/health", lambda h: h["given_up"] and h["given_up"]["fps"].get("door", 99) < 5, 60
    )
    jsonschema.validate(governed, schema("health/1.0"))
    assert "over governor.latency_ms = 0.001" in governed["given_up"]["because"]
    slow = subscriber.wait_for("n1/health", lambda h: h["given_up"] and 0 < h["cameras"]["door"]["fps"] < 5, 60)
    assert slow["cameras"]["door"]["gated"] > 0, "what was not looked at is told"

    assert json.loads(_get(port, "/healthz"))["ok"]
    assert json.loads(_get(port, "/readyz")) == {"ok": True, "why": "1 of 1 cameras online"}
    metrics = _get(port, "/metrics")
    assert 'gluon_edge_camera_online{camera="door"} 1\n' in metrics
    assert "gluon_edge_connected 1\n" in metrics
    assert "gluon_edge_governed 1\n" in metrics
    agent.signal(signal.SIGTERM)
    assert agent.wait() == 0
    assert "governor: " in agent.said
    assert "Traceback" not in agent.said

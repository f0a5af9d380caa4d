"""Jobs and shadow of a real agent through a real Mosquitto, against a double of AWS IoT Core's services."""

import gc
import signal
import time

import bundles
import pytest
from aws_double import Cloud, Services
from real_parts import wait_until
from releases import release

SETTINGS = (
    "[updates]\nshadow_frames = 2\nshadow_s = 20\nwatch_s = 0.3\nmax_slowdown = 1000\nmax_memory_mb = 1024\n"
    '[aws]\nthing = "kerb-1"\n'
)


@pytest.fixture
def camera(tmp_path):
    video = bundles.squares_video(tmp_path / "v.avi", ([{"red": (10, 10, 40)}] * 5 + [{}] * 5) * 10)
    return f'[cameras.door]\nsource = "{video}"\nloop = true'


@pytest.fixture
def cloud(broker):
    cloud = Cloud(broker.port, Services())
    yield cloud
    cloud.close()
    gc.collect()


def document(archive, sha256):
    return {"operation": "update-model", "url": archive.as_uri(), "sha256": sha256}


def test_agent_when_a_job_brings_a_model_and_it_is_killed_meanwhile_then_the_job_ends_and_the_shadow_tells(
    broker, cloud, listen, run_agent, config, camera, tmp_path
):
    services = cloud.services
    jobs, reported = services.jobs, lambda: services.shadow("gluon-edge")["state"]["reported"]
    services.desire("gluon-edge", {"threshold": 0.25, "detect": {"door": True}, "nonsense": 1})
    subscriber = listen(broker, "edge/n1/#")
    toml = config(broker, camera, SETTINGS, events="hold_s = 0\ncooldown_s = 0")
    agent = run_agent(toml)
    wait_until(lambda: reported().get("threshold") == 0.25, 30, "the shadow")
    assert "nonsense" in reported()["errors"]
    assert reported()["model"]["version"] == "1.0.0"
    subscriber.wait_for("/event")

    cloud.do(services.create_job, "bad", {"operation": "format the disk"})
    wait_until(lambda: jobs["bad"]["status"] == "REJECTED", 10, "the refusal")
    cloud.do(services.create_job, "crooked", document(*release(tmp_path, "3.0.0", broken="crooked")))
    wait_until(lambda: jobs["crooked"]["status"] == "FAILED", 60, "the failure")
    assert "golden sample" in jobs["crooked"]["statusDetails"]["reason"]

    cloud.do(services.create_job, "good", document(*release(tmp_path, "1.1.0", rounds=1)))
    wait_until(lambda: jobs["good"]["statusDetails"].get("phase") in {"probing", "shadowing"}, 30, "the job's start")
    agent.kill()
    time.sleep(0.2)
    assert jobs["good"]["status"] == "IN_PROGRESS"
    agent = run_agent(toml)
    wait_until(lambda: jobs["good"]["status"] == "SUCCEEDED", 90, "the job's end")
    wait_until(lambda: reported()["model"]["version"] == "1.1.0", 10, "the shadow")
    assert reported()["threshold"] == 0.25
    cloud.do(services.desire, "gluon-edge", {"detect": {"door": False}})
    wait_until(lambda: reported()["detect"] == {"door": False}, 10, "looking off")

    assert max(size for topic, size in services.heard if "/shadow/" in topic) <= 5 * 1024
    assert {e["model"]["version"] for e in subscriber.events()} <= {"1.0.0", "1.1.0"}
    agent.signal(signal.SIGTERM)
    assert agent.wait() == 0
    assert "Traceback" not in agent.said

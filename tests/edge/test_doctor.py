"""The doctor on devices made of files: each trouble is found, named, and its mending told."""

import json
import socket

import bundles
import pytest

from edge.cli import main
from edge.clock import ClockState
from edge.doctor import Device, examine
from edge.doctor.cameras import check_cameras
from edge.doctor.hardware import check_hardware
from edge.doctor.packages import check_packages

VERSIONS = {"opencv-python-headless": "4.11", "onnxruntime": "1.31"}


def device(tmp_path, files=None, *, versions=VERSIONS, imports=("cv2",), synced=True, **more):
    for name, text in (files or {}).items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    settings = {"machine": "aarch64", "user": 1000, "groups": frozenset({1000}), **more}
    return Device(
        tmp_path,
        version=versions.get,
        can_import=set(imports).__contains__,
        clock=lambda: ClockState(synced=synced, source="kernel", error_ms=None),
        **settings,
    )


def only(found, subject):
    found = [f for f in found if f.subject == subject]
    assert len(found) == 1, found
    return found[0]


def test_video_device_of_another_group_is_wrong_until_the_user_is_in_it(tmp_path):
    files = {"dev/video0": "", "dev/video1": "", "dev/v4l/by-id/usb-Cam-video-index0": "", "dev/video-dec": ""}
    stranger = device(tmp_path, files, user=12345)
    (tmp_path / "dev/video1").chmod(0o666)
    (tmp_path / "dev/video0").chmod(0o660)
    finding = only(check_cameras(stranger), "camera")
    assert finding.verdict == "wrong"
    assert finding.text == "/dev/video0: this user may not use them"
    assert "usermod -aG video" in finding.mend

    group = (tmp_path / "dev/video0").stat().st_gid
    finding = only(check_cameras(device(tmp_path, user=12345, groups=frozenset({group}))), "camera")
    assert (finding.verdict, finding.text) == ("good", "2 video devices; by names that stay: usb-Cam-video-index0")


def test_raspberry_pi_without_picamera2_is_told_of_apt_and_system_site_packages(tmp_path):
    pi = {"proc/device-tree/model": "Raspberry Pi 5 Model B Rev 1.0\x00"}
    found = [f for f in check_cameras(device(tmp_path, pi)) if "picamera2" in f.text]
    assert "apt install -y python3-picamera2" in found[0].mend
    assert "--system-site-packages" in found[0].mend
    with_it = device(tmp_path, pi, imports=("cv2", "picamera2"))
    assert not [f for f in check_cameras(with_it) if "picamera2" in f.text]


@pytest.mark.parametrize(
    ("bits", "verdict", "words"),
    [
        ("0", "good", "never throttled"),
        ("5", "wrong", "now: its voltage is too low, it is throttled"),
        ("50000", "note", "since it was started: its voltage is too low, it is throttled"),
    ],
)
def test_raspberry_pis_firmware_tells_of_power_and_throttling(tmp_path, bits, verdict, words):
    files = {"sys/devices/platform/soc/soc:firmware/get_throttled": f"{bits}\n"}
    finding = only(check_hardware(device(tmp_path, files), tmp_path), "power")
    assert finding.verdict == verdict
    assert words in finding.text


@pytest.mark.parametrize(("milli", "verdict"), [("45500", "good"), ("72000", "note"), ("84000", "wrong")])
def test_hottest_zone_is_what_counts(tmp_path, milli, verdict):
    zones = {"sys/class/thermal/thermal_zone0/temp": "31000", "sys/class/thermal/thermal_zone1/temp": f"{milli}\n"}
    finding = only(check_hardware(device(tmp_path, zones), tmp_path), "heat")
    assert (finding.verdict, finding.text.split()[0]) == (verdict, f"{int(milli) / 1000:.0f}")


@pytest.mark.parametrize(
    ("features", "machine", "verdicts"),
    [
        ("fp asimd aes crc32 cpuid", "aarch64", ["note"]),
        ("fp asimd asimdhp asimddp", "aarch64", ["good"]),
        ("sse avx", "x86_64", []),
    ],
)
def test_processor_without_the_dot_product_is_told(tmp_path, features, machine, verdicts):
    there = device(tmp_path, {"proc/cpuinfo": f"Features\t: {features}\n"}, machine=machine)
    assert [f.verdict for f in check_hardware(there, tmp_path) if f.subject == "processor"] == verdicts


def test_clock_that_nothing_keeps_right_is_wrong(tmp_path):
    assert only(check_hardware(device(tmp_path, synced=False), tmp_path), "clock").verdict == "wrong"
    assert only(check_hardware(device(tmp_path), tmp_path), "clock").verdict == "good"


@pytest.mark.parametrize(("kilobytes", "verdict"), [(100 << 10, "wrong"), (900 << 10, "good")])
def test_memory_that_is_to_be_had(tmp_path, kilobytes, verdict):
    there = device(tmp_path, {"proc/meminfo": f"MemTotal: 9\nMemAvailable:  {kilobytes} kB\n"})
    assert only(check_hardware(there, tmp_path), "memory").verdict == verdict


@pytest.mark.parametrize(("free", "verdict"), [(10 << 20, "wrong"), (300 << 20, "note"), (4 << 30, "good")])
def test_disk_when_little_is_free_then_it_is_told(tmp_path, monkeypatch, free, verdict):
    monkeypatch.setattr("shutil.disk_usage", lambda _path: type("Usage", (), {"free": free}))
    assert only(check_hardware(device(tmp_path), tmp_path / "state" / "gluon-edge"), "disk").verdict == verdict


def test_two_opencvs_and_two_runtimes_are_wrong(tmp_path):
    twice = {**VERSIONS, "opencv-python": "4.10", "onnxruntime-gpu": "1.31"}
    found = list(check_packages(device(tmp_path, versions=twice)))
    opencv, runtime = only(found, "opencv"), only(found, "runtime")
    assert {opencv.verdict, runtime.verdict} == {"wrong"}
    assert opencv.mend.endswith("pip install opencv-python-headless")
    assert "pip uninstall -y onnxruntime onnxruntime-gpu" in runtime.mend


def test_gpu_that_the_runtime_cannot_use_is_told(tmp_path):
    gpu = device(tmp_path, {"proc/driver/nvidia/gpus/0000:01:00.0/information": "Model: \t NVIDIA T4"})
    assert [f.verdict for f in check_packages(gpu) if f.subject == "runtime"] == ["good", "note"]


def test_opencv_of_the_system_will_do_and_none_is_wrong(tmp_path):
    assert only(check_packages(device(tmp_path, versions={})), "opencv").text == "the system's own"
    assert only(check_packages(device(tmp_path, versions={}, imports=())), "opencv").verdict == "wrong"


@pytest.fixture
def agent(tmp_path, monkeypatch):
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    bundle = bundles.detection_bundle(tmp_path / "squares")
    secret = tmp_path / "password"
    secret.write_text("hunter2")
    secret.chmod(0o600)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        path = tmp_path / "agent.toml"
        path.write_text(
            f'[model]\nbundle = "{bundle}"\nthreads = 1\n[cameras.door]\nsource = 0\n'
            f'[mqtt]\nbroker = "mqtt://127.0.0.1:{port}"\nusername = "me"\npassword_file = "{secret}"\n'
        )
        yield path


def subjects(found, verdict):
    return sorted({f.subject for f in found if f.verdict == verdict})


def test_agent_when_all_is_well_then_only_notes(agent, tmp_path):
    found = examine(device(tmp_path / "root"), agent)

    assert subjects(found, "wrong") == []
    assert {"configuration", "model", "broker", "secret"} <= set(subjects(found, "good"))
    assert [f.mend for f in found if "tuned" in f.text] == [f"gluon-edge tune {tmp_path / 'squares'}"]


def test_agent_when_secret_bundle_and_broker_are_wrong_then_each_is_told(agent, tmp_path):
    (tmp_path / "password").chmod(0o644)
    (tmp_path / "squares" / "model.onnx").write_bytes(b"damaged")
    text = agent.read_text()
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    agent.write_text(text.replace(text.split("127.0.0.1:")[1].split('"')[0], str(port)))
    found = examine(device(tmp_path / "root"), agent)

    assert subjects(found, "wrong") == ["broker", "model", "secret"]
    assert only(found, "secret").mend == f"chmod 600 {tmp_path / 'password'}"
    assert f"open port {port}" in only(found, "broker").mend


def test_agent_when_a_provider_falls_away_then_it_is_wrong(agent, tmp_path):
    agent.write_text(agent.read_text().replace("threads = 1", 'threads = 1\nproviders = ["tensorrt"]'))
    wrong = [f.text for f in examine(device(tmp_path / "root"), agent) if f.verdict == "wrong"]

    assert wrong == ["provider tensorrt falls away: not in this build of onnxruntime"]


def test_command_when_something_is_wrong_then_its_status_is_one(agent, capsys):
    agent.write_text(agent.read_text().replace("[model]", "[modle]"))

    assert main(["doctor", "-c", str(agent), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["ok"] is False
    wrong = [f for f in found["findings"] if f["subject"] == "configuration"]
    assert "did you mean 'model'?" in wrong[0]["text"]


def test_command_when_it_answers_a_person_then_the_mending_follows_each_line(agent, capsys):
    (agent.parent / "password").chmod(0o644)

    assert main(["doctor", "-c", str(agent)]) == 1
    lines = capsys.readouterr().out.splitlines()
    at = next(i for i, line in enumerate(lines) if "everyone may read it" in line)
    assert lines[at].startswith("WRONG  secret: ")
    assert lines[at + 1].strip() == f"chmod 600 {agent.parent / 'password'}"

"""The node's own vital signs: sensors made of files, a governor on a board that heats up, and the page over real HTTP."""

import http.client
import itertools
import json
import subprocess
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.config import Config, GovernorConfig
from edge.errors import ConfigError
from edge.health.board import Board, Heat
from edge.health.exposition import exposition
from edge.health.governor import Governor, Throttle
from edge.health.health import Health
from edge.health.page import Page
from edge.health.vitals import Vitals

STILL = np.zeros((48, 64, 3), np.uint8)


def sysfs(root, **files):
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def zone(root, n, text):
    path = root / f"sys/class/thermal/thermal_zone{n}/temp"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def pi(root, ask):
    path = root / "proc/device-tree/model"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("Raspberry Pi 4 Model B Rev 1.4\0")
    return Board(root, ask)


def test_heat_when_there_are_zones_then_the_hottest_that_can_be_believed(tmp_path):
    for n, text in enumerate(["41000\n", "52500\n", "-274000\n", "", "n/a", "99999999\n"]):
        zone(tmp_path, n, text)
    assert Board(tmp_path).read() == Heat(52.5)
    assert Board(tmp_path / "nothing").read() == Heat()
    assert Heat().told() == {}


def test_throttling_when_the_kernel_tells_then_the_bits_in_words_and_nobody_is_asked(tmp_path):
    zone(tmp_path, 0, "60000")
    path = tmp_path / "sys/devices/platform/soc/soc:firmware/get_throttled"
    path.parent.mkdir(parents=True)
    path.write_text("50005\n")
    asked = []
    found = pi(tmp_path, asked.append).read()
    assert found.throttled == found.throttled_ever == ("under-voltage", "throttled")
    assert found.told()["throttled"] == ["under-voltage", "throttled"]
    assert asked == []


def test_vcgencmd_when_only_it_knows_then_it_is_asked(tmp_path):
    says = {"measure_temp": "temp=61.2'C\n", "get_throttled": "throttled=0x80008\n"}
    found = pi(tmp_path, lambda command: says[command[1]]).read()
    assert found == Heat(61.2, ("soft-temperature-limit",), ("soft-temperature-limit",))


@pytest.mark.parametrize(
    "trouble",
    [
        FileNotFoundError("vcgencmd"),
        subprocess.TimeoutExpired("vcgencmd", 1),
        subprocess.CalledProcessError(255, "vcgencmd"),
    ],
)
def test_vcgencmd_when_it_fails_then_nothing_is_known_and_it_is_not_asked_again(tmp_path, trouble):
    asked = []

    def ask(command):
        asked.append(command)
        raise trouble

    board = pi(tmp_path, ask)
    assert [board.read(), board.read()] == [Heat(), Heat()]
    assert len(asked) == 1


def test_vcgencmd_when_it_is_no_pi_then_it_is_never_asked(tmp_path):
    asked = []
    assert Board(tmp_path, asked.append).read() == Heat()
    assert asked == []


@given(st.text(max_size=40))
def test_vcgencmd_when_it_says_anything_then_it_is_read_or_left_out(tmp_path_factory, text):
    found = pi(tmp_path_factory.mktemp("pi"), lambda _: text).read()
    assert found.celsius is None or -60 < found.celsius < 200


class Oven:
    """A board that heats up with the frames it looks at; a camera of 20 frames a second before it."""

    def __init__(self, governor, throttle, *, ambient=40.0, per_fps=2.5):
        self.governor, self.throttle = governor, throttle
        self.ambient, self.per_fps = ambient, per_fps
        self.celsius, self.now_ns, self.fps = ambient, 0, 0.0

    def period(self, image=STILL):
        passed = 0
        for _ in range(100):
            self.now_ns += 50_000_000
            passed += self.throttle.passes(image, self.now_ns)
        self.fps = passed / 5
        self.celsius += 0.5 * (self.ambient + self.per_fps * self.fps - self.celsius)
        self.governor.look(Heat(self.celsius), age_ms=None, fps={"door": self.fps})


def oven(gives=("fps",), **limits):
    throttle = Throttle()
    return Oven(Governor(GovernorConfig(gives=gives, **limits), {"door": throttle}), throttle)


def test_governor_when_it_gets_hot_then_fewer_frames_hold_the_temperature_and_it_says_so():
    board = oven(temperature_c=75)
    for _ in range(30):
        board.period()
    assert board.celsius < 76
    assert 5 < board.fps < 15
    told = board.governor.given_up()
    assert "C, over governor.temperature_c = 75" in told["because"]
    assert not told["gate"]
    assert told["fps"]["door"] == pytest.approx(board.fps, rel=0.4)


def test_governor_when_it_is_cool_again_then_everything_is_given_back():
    board = oven(gives=("gate", "fps"), temperature_c=75)
    noise = np.random.default_rng(1).integers(0, 255, (2, 48, 64, 3), np.uint8)
    for n in range(20):
        board.period(noise[n % 2])
    assert board.governor.given_up()["gate"]
    board.ambient = 10.0
    for n in range(60):
        board.period(noise[n % 2])
    assert board.governor.given_up() is None
    assert board.fps == 20


def test_governor_when_the_gate_is_enough_then_no_frame_rate_is_given_up():
    board = oven(gives=("gate", "fps"), temperature_c=75)
    told, rates = [], []
    for _ in range(60):
        board.period()
        told.append(board.governor.given_up())
        rates.append(board.fps)
    assert all(given is None or (given["gate"] and not given["fps"]) for given in told)
    assert min(rates) < 1, "nothing moves"
    given_back = sum(a is not None and b is None for a, b in itertools.pairwise(told))
    assert given_back <= 5, "it does not swing to and fro: each time it waits longer"


def test_governor_when_frames_are_late_then_it_acts_and_between_the_limits_it_stays():
    governor = Governor(GovernorConfig(latency_ms=200, gives=("fps",), least_fps=2), {"a": Throttle(), "b": Throttle()})
    governor.look(Heat(), age_ms=350, fps={"a": 8.0, "b": 0.0})
    assert governor.given_up()["fps"] == {"a": 6.0}, "a camera that is away has nothing to give"
    governor.look(Heat(), age_ms=180, fps={"a": 6.0})
    assert governor.given_up()["fps"] == {"a": 6.0}
    for _ in range(9):
        governor.look(Heat(), age_ms=300, fps={"a": 6.0})
    assert governor.given_up()["fps"] == {"a": 2.0}, "and never less than that"
    governor.look(Heat(), age_ms=None, fps={"a": 2.0})
    assert governor.given_up()["fps"]["a"] > 2


def test_throttle_when_the_camera_has_a_gate_of_its_own_then_it_stays_the_only_one():
    asked = []
    own = SimpleNamespace(passes=lambda _image, _ns: asked.append(1) or True, forget=lambda: asked.append("forgot"))
    throttle = Throttle(own)
    throttle.force(gate=True, fps=None)
    assert [throttle.passes(STILL, n * 10_000_000) for n in range(5)] == [True] * 5
    throttle.forget()
    assert asked == [1] * 5 + ["forgot"]


def config(**more):
    return Config.model_validate({"model": {"bundle": "b"}, "cameras": {"door": {"source": 0}}, **more})


@pytest.mark.parametrize(
    ("health", "said"),
    [
        ({"listen": "9464"}, "127.0.0.1:9464"),
        ({"listen": "127.0.0.1:99999"}, "127.0.0.1:9464"),
        ({"listen": "0.0.0.0:9464"}, "token_file"),
    ],
)
def test_listen_when_it_is_wrong_or_open_to_all_then_refused(health, said):
    with pytest.raises(ValueError, match=said):
        config(health=health)


HEALTH = {
    "uptime_s": 12.5,
    "fps": 5.0,
    "cameras": {"door": {"state": "online", "frames": 7, "inferred": 6, "gated": 0, "dropped": 1, "fps": 5.0}},
    "latency": {"age_ms": {"p50": 1.5, "p90": 2.0, "p99": 3.0, "max": 9.0}, "infer_ms": None},
    "inference_failures": 0,
    "outbox": {"connected": True, "sent": 3, "depth": 2, "bytes": 10, "dropped": {"A": 0}, "alarms": ["disk-full"]},
    "board": {"celsius": 51.5, "throttled": ["throttled"]},
    "given_up": None,
}


def test_exposition_when_read_then_each_sample_has_its_type_and_what_is_unknown_is_left_out():
    lines = exposition(HEALTH).splitlines()
    assert 'gluon_edge_camera_frames_total{camera="door"} 7' in lines
    assert 'gluon_edge_age_milliseconds{quantile="0.9"} 2.0' in lines
    assert "gluon_edge_temperature_celsius 51.5" in lines
    assert 'gluon_edge_alarm{alarm="disk-full"} 1' in lines
    assert not any("infer_milliseconds" in line for line in lines)
    typed = {line.split()[2] for line in lines if line.startswith("# TYPE")}
    assert {line.partition("{")[0].split()[0] for line in lines if not line.startswith("#")} == typed
    assert len(typed) == sum(line.startswith("# TYPE") for line in lines)
    assert (
        exposition({})
        == "# HELP gluon_edge_governed Whether the governor gives something up.\n# TYPE gluon_edge_governed gauge\ngluon_edge_governed 0\n"
    )


def get(port, path, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


@pytest.fixture
def page():
    pages = []

    def make(**more):
        answers = {"alive": lambda: (True, "well"), "ready": lambda: (False, "0 of 1 cameras online")}
        pages.append(Page(("127.0.0.1", 0), lambda: HEALTH, **answers, **more))
        pages[-1].start()
        return pages[-1].port

    yield make
    for made in pages:
        made.close()


def test_page_when_asked_on_this_machine_then_it_tells(page):
    port = page()
    assert get(port, "/metrics") == (200, exposition(HEALTH))
    assert get(port, "/healthz") == (200, '{"ok": true, "why": "well"}\n')
    assert get(port, "/readyz") == (503, '{"ok": false, "why": "0 of 1 cameras online"}\n')
    assert get(port, "/etc/passwd")[0] == 404
    assert get(port, "/metrics", Host="rebound.example")[0] == 403
    assert get(port, "/metrics", Host=f"localhost:{port}")[0] == 200


def test_page_when_there_is_a_token_then_only_who_knows_it_is_told(page):
    port = page(token="hush")  # noqa: S106 - of this test
    assert get(port, "/metrics")[0] == 401
    assert get(port, "/metrics", Authorization="Bearer hus")[0] == 401
    assert get(port, "/metrics", Authorization="Bearer hush", Host="node.example")[0] == 200


def test_page_when_the_port_is_taken_then_it_says_which(page):
    port = page()
    with pytest.raises(ConfigError, match=f"127.0.0.1:{port}"):
        Page(("127.0.0.1", port), dict, alive=lambda: (True, ""), ready=lambda: (True, ""))


def test_alive_when_frames_stop_then_no_more_unless_every_camera_is_known_to_be_away():
    now = [0.0]
    health = Health(["door"], mono=lambda: now[0])
    vitals = Vitals(config(health={"listen": "127.0.0.1:0"}), health, {}, board=Board(), mono=lambda: now[0])
    try:
        vitals.start()
        port = vitals.page.port
        assert get(port, "/healthz")[0] == 200
        assert get(port, "/readyz")[0] == 503
        health.camera_state("door", "online")
        assert get(port, "/readyz") == (200, '{"ok": true, "why": "1 of 1 cameras online"}\n')
        now[0] = 61.0
        vitals.told(HEALTH)
        status, text = get(port, "/healthz")
        assert (status, json.loads(text)["why"]) == (503, "no frame has gone all the way for 61 s")
        health.frame_gated("door")
        assert get(port, "/healthz")[0] == 200
        now[0] = 200.0
        assert "the agent hangs" in get(port, "/healthz")[1]
    finally:
        vitals.close()


def test_observe_when_it_is_hot_then_health_says_so_and_what_is_given_up(tmp_path):
    zone(tmp_path, 0, "90000")
    settings = config(governor={"temperature_c": 80, "gives": ["fps"]})
    vitals = Vitals(settings, Health(["door"]), {}, board=Board(tmp_path))
    found = vitals.observe(HEALTH)
    assert found["board"] == {"celsius": 90.0}
    assert found["given_up"]["fps"] == {"door": 3.75}


def test_log_when_a_minute_has_passed_then_one_line_says_how_it_is(caplog):
    now = [0.0]
    vitals = Vitals(config(), Health(["door"]), {}, board=Board(), mono=lambda: now[0])
    with caplog.at_level("INFO"):
        for now[0] in range(0, 130, 10):
            vitals.told(HEALTH)
    assert [r.message for r in caplog.records] == [
        "0 of 1 cameras online; 5 frames/s; p90 2 ms from capture to message; 2 messages wait; 52 C; alarms: disk-full"
    ] * 2

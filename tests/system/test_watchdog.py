"""The watchdog of a real agent, over a notify socket of the test's own, and how fast it stops under load."""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time

import bundles
import pytest
from real_parts import ROOT, wait_until


class Manager:
    """What systemd would hear."""

    def __init__(self, path, watchdog_s):
        self.heard = []
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.setblocking(False)
        self.environment = {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": str(round(watchdog_s * 1e6))}

    def count(self, word):
        while select.select([self.socket], [], [], 0)[0]:
            self.heard += self.socket.recv(4096).decode().splitlines()
        return self.heard.count(word)


@pytest.fixture
def manager(tmp_path):
    manager = Manager(tmp_path / "notify", 1.0)
    yield manager
    manager.socket.close()


@pytest.fixture
def video(tmp_path):
    return bundles.squares_video(tmp_path / "v.avi", ([{"red": (10, 10, 40)}] * 5 + [{}] * 5) * 10)


def test_watchdog_when_the_model_hangs_then_it_is_fed_no_more_and_again_when_it_goes_on(
    manager, tmp_path, config, video
):
    flag, toml = tmp_path / "hang", tmp_path / "agent.toml"
    toml.write_text(config(None, f'[cameras.door]\nsource = "{video}"\nloop = true'))
    environment = {**os.environ, **manager.environment, "GLUON_EDGE_STATE_DIR": str(tmp_path / "state")}
    command = [sys.executable, "tests/system/hanging.py", flag, "run", "-c", toml]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, stderr=log, env={**environment, "PYTHONPATH": str(ROOT)}, stdout=log
        )
    try:
        wait_until(lambda: manager.count("READY=1"), 20, "READY")
        wait_until(lambda: manager.count("WATCHDOG=1") >= 3, 10, "the watchdog's food")

        flag.touch()
        time.sleep(0.6)  # what was finished before is told once more
        before = manager.count("WATCHDOG=1")
        time.sleep(1.5)
        assert manager.count("WATCHDOG=1") == before, "time that passes is no work"

        flag.unlink()
        wait_until(lambda: manager.count("WATCHDOG=1") > before, 5, "work again")
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
        assert manager.count("STOPPING=1") == 1
    finally:
        process.kill()
        process.wait(10)


def test_watchdog_when_every_camera_is_down_then_it_is_fed_for_that_is_known(manager, run_agent, config):
    agent = run_agent(config(None, '[cameras.door]\nsource = "/dev/video99"'), **manager.environment)
    agent.wait_for_line("is away")
    before = manager.count("WATCHDOG=1")
    wait_until(lambda: manager.count("WATCHDOG=1") >= before + 3, 10, "the watchdog's food")
    assert any("0 of 1 cameras online" in line for line in manager.heard)
    agent.signal(signal.SIGTERM)
    assert agent.wait() == 0


def test_reload_when_it_is_over_then_ready_is_told_again(manager, run_agent, config, video):
    agent = run_agent(config(None, f'[cameras.door]\nsource = "{video}"\nloop = true'), **manager.environment)
    wait_until(lambda: manager.count("READY=1") == 1, 20, "READY")
    agent.signal(signal.SIGHUP)
    wait_until(lambda: manager.count("READY=1") == 2, 10, "READY again")
    assert manager.heard.count("RELOADING=1") == 1
    agent.signal(signal.SIGTERM)
    assert agent.wait() == 0


@pytest.mark.alone
def test_stop_when_under_load_then_within_5_s_and_nothing_accepted_is_lost(broker, listen, run_agent, config, tmp_path):
    flicker = bundles.squares_video(tmp_path / "f.avi", [{"red": (10, 10, 40), "blue": (90, 50, 40)}, {}] * 100)
    cameras = "\n".join(f'[cameras.c{i}]\nsource = "{flicker}"\nloop = true\npace = "fast"' for i in range(2))
    subscriber = listen(broker, "edge/n1/#")
    agent = run_agent(config(broker, cameras, events="hold_s = 0\ncooldown_s = 0"))
    wait_until(lambda: len(subscriber.messages) > 1000, 30, "load")

    begun = time.monotonic()
    agent.signal(signal.SIGTERM)
    assert agent.wait() == 0
    took = time.monotonic() - begun

    assert took < 5, agent.said
    # What was on the disk and not yet delivered comes with the next start, which looks at nothing.
    again = run_agent(config(broker, '[cameras.c0]\nsource = "/dev/video99"'))
    wait_until(lambda: "connected broker" in again.said and _depth(subscriber) == 0, 20, "the rest")
    again.signal(signal.SIGTERM)
    assert again.wait() == 0
    boots = {}
    for event in subscriber.events():
        boots.setdefault(event["boot_id"], set()).add(event["seq"])
    (seqs,) = boots.values()
    assert seqs == set(range(1, max(seqs) + 1)), "every number up to the last came"


def _depth(subscriber):
    """What the newest `health` says still waits, beside itself."""
    last = next((m for m in reversed(list(subscriber.messages)) if m.topic.endswith("/health")), None)
    return None if last is None else json.loads(last.payload)["outbox"]["depth"]


def test_log_when_stderr_is_the_journals_then_lines_have_priorities_and_no_time():
    # A pipe stands for the journal's socket: that it is the very stream which the variable names is what counts.
    probe = (
        "import os, sys, logging; s = os.fstat(2); os.environ['JOURNAL_STREAM'] = f'{s.st_dev}:{s.st_ino}';"
        "from edge.log import set_up_logging; set_up_logging(verbose=False); logging.warning('two\\nlines'); logging.info('x')"
    )
    done = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stderr == "<4>two\n<4>lines\n<6>x\n"

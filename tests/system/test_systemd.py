"""The unit files: judged by systemd's own tools, and started by a real systemd in a namespace of its own."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import bundles
import pytest
from real_parts import wait_until
from releases import release
from street import ROOT

from export.release import make_key_files

UNITS = ROOT / "systemd"
NAMES = ("gluon-edge.service", "gluon-edge@.service")
BOARDS = ("raspberry-pi", "jetson")

pytestmark = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed here (Debian: systemd)"
)


def _analyze(*args):
    return subprocess.run(["systemd-analyze", *args], capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture(params=[(n, b) for n in NAMES for b in (None, *BOARDS)], ids=str)
def unit(request, tmp_path):
    """A unit with the drop-in of a board or without, as it lies when it is installed."""
    name, board = request.param
    path = tmp_path / name.replace("@", "@gate")
    path.write_text((UNITS / name).read_text().replace("/opt/gluon-edge/bin/gluon-edge", "/bin/true"))
    if board is not None:
        drop_in = tmp_path / f"{path.name}.d"
        drop_in.mkdir()
        shutil.copy(UNITS / f"{board}.conf", drop_in)
    return path


def test_unit_when_verified_then_systemd_has_nothing_to_say(unit):
    done = _analyze("verify", str(unit))
    about_ours = [line for line in done.stderr.splitlines() if "gluon-edge" in line]
    assert done.returncode == 0, done.stderr
    assert not about_ours


def test_unit_when_its_sandbox_is_judged_then_the_exposure_is_two_or_less(unit):
    # A drop-in is read only where units are searched for, so the file is judged as one.
    drop_ins = [p.read_text() for p in sorted(unit.parent.glob(f"{unit.name}.d/*.conf"))]
    whole = unit.parent / "whole" / unit.name
    whole.parent.mkdir()
    whole.write_text("\n".join([unit.read_text(), *drop_ins]))
    done = _analyze("security", "--offline=true", "--threshold=20", "--no-pager", str(whole))
    found = re.search(r"exposure level for \S+: ([0-9.]+)", done.stdout)
    assert found, done.stdout + done.stderr
    assert float(found[1]) <= 2.0
    assert done.returncode == 0


def test_template_when_compared_with_the_single_unit_then_only_names_differ():
    single, template = (
        {line for line in (UNITS / n).read_text().splitlines() if not line.startswith("#")} for n in NAMES
    )
    differ = sorted({line.partition("=")[0] for line in single ^ template})
    assert differ == ["Description", "ExecStart", "StateDirectory", "WorkingDirectory"]


class Machine:
    """systemd as the first process of namespaces of its own."""

    def __init__(self, folder: Path) -> None:
        command = ["unshare", "--pid", "--fork", "--kill-child", "--mount", "--cgroup", "--ipc", "--uts", "--net"]
        arguments = (folder / "given", sys.base_prefix, sysconfig.get_path("purelib"), ROOT)
        self.log = folder / "boot.log"
        with self.log.open("wb") as log:
            self.outer = subprocess.Popen(
                [*command, "--propagation=private", Path(__file__).with_name("systemd_boot.sh"), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.init = 0

    def boot(self) -> bool:
        """Whether systemd answers in time."""
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline and self.outer.poll() is None:
            children = Path(f"/proc/{self.outer.pid}/task/{self.outer.pid}/children").read_text().split()
            if children:
                self.init = int(children[0])
                if self.run("systemctl", "is-system-running").stdout.strip() in {"running", "degraded"}:
                    return True
            time.sleep(0.1)
        return False

    def run(self, *command: str) -> "subprocess.CompletedProcess[str]":
        """A command in there."""
        enter = ["nsenter", "-t", str(self.init), "--mount", "--pid", "--ipc", "--cgroup", "--uts", "--net"]
        # A machine of its own knows nothing of what is set around it: the agent refuses GLUON_EDGE_ANYTHING.
        ours = {k: v for k, v in os.environ.items() if k != "NOTIFY_SOCKET" and not k.startswith("GLUON_EDGE_")}
        environment = {**ours, "NO_COLOR": "1"}
        return subprocess.run(
            [*enter, *command], capture_output=True, text=True, timeout=60, check=False, env=environment
        )

    def show(self, unit: str) -> dict[str, str]:
        lines = self.run("systemctl", "show", unit).stdout.splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)

    def add(self, *settings: str) -> None:
        """A drop-in as a person would write it; there is no journal here."""
        lines = "\n".join(["[Service]", "StandardError=append:/run/agent.log", *settings])
        folder = "/etc/systemd/system/gluon-edge.service.d"
        self.run("sh", "-c", f"mkdir -p {folder} && echo '{lines}' > {folder}/own.conf")

    @property
    def said(self) -> str:
        return self.run("cat", "/run/agent.log").stdout

    def close(self) -> None:
        self.outer.kill()
        self.outer.wait(10)
        if self.init:
            wait_until(lambda: not Path(f"/proc/{self.init}").exists(), 10, "the machine's end")


TOML = """
[model]
bundle = "det"
threads = 1
[mqtt]
broker = "mqtt://127.0.0.1:1"
node = "n1"
username = "u"
password_file = "$CREDENTIALS_DIRECTORY/mqtt"
[health]
every_s = 0.5
[cameras.door]
source = "v.avi"
loop = true
"""


@pytest.fixture
def given(tmp_path):
    """What lies in /etc/gluon-edge when the machine boots."""
    if os.geteuid() != 0 or shutil.which("nsenter") is None or not Path("/lib/systemd/systemd").exists():
        pytest.skip("a systemd of its own needs root, nsenter and /lib/systemd/systemd")
    given = tmp_path / "given"
    given.mkdir()
    bundles.detection_bundle(given / "det")
    bundles.squares_video(given / "v.avi", [{"red": (10, 10, 40)}] * 20)
    (given / "mqtt.password").write_text("hush")
    (given / "mqtt.password").chmod(0o600)
    (given / "agent.toml").write_text(TOML)
    return given


@pytest.fixture
def signed(given, tmp_path):
    """A node that takes only what its key has signed, and four releases that it has."""
    private, public, _ = make_key_files(tmp_path / "release")
    public.rename(given / "release.pub")
    for version, broken in (("1.0.0", None), ("1.1.0", None), ("2.0.0", "nan"), ("3.0.0", "huge")):
        archive, _ = release(tmp_path / "shelf", version, broken=broken, rounds=version == "1.1.0", sign=[private])
        archive.rename(given / f"{version}.zip")
    model = 'bundle = "1.0.0.zip"\nkeys = ["$CREDENTIALS_DIRECTORY/release"]'
    updates = "[updates]\nshadow_frames = 3\nshadow_s = 20\nwatch_s = 0.5\nmax_slowdown = 1000\nmax_memory_mb = 1024\n"
    (given / "agent.toml").write_text(TOML.replace('bundle = "det"', model) + updates)


@pytest.fixture
def machine(given):
    machine = Machine(given.parent)
    if not machine.boot():
        machine.close()
        pytest.skip(f"no systemd can be started here: {machine.log.read_text()}")
    yield machine
    machine.close()


def test_service_when_installed_and_started_by_systemd_then_it_is_ready_watched_and_stops_in_time(machine):
    program = "/opt/gluon-edge/bin/gluon-edge"
    machine.add("LoadCredential=mqtt:/etc/gluon-edge/mqtt.password")
    dry = machine.run(program, "service", "install", "--dry-run")
    assert "would write /etc/systemd/system/gluon-edge.service" in dry.stdout, dry
    assert machine.show("gluon-edge")["LoadState"] == "not-found"

    done = machine.run(program, "service", "install")
    assert done.returncode == 0, done.stderr + machine.said
    found = machine.show("gluon-edge")
    # Type=notify: `systemctl start` returns when the agent has said READY.
    assert (found["ActiveState"], found["SubState"], found["NotifyAccess"]) == ("active", "running", "main"), found
    assert found["DynamicUser"] == "yes"
    wait_until(lambda: "cameras online" in machine.show("gluon-edge")["StatusText"], 10, "a status line")
    first = int(machine.show("gluon-edge")["WatchdogTimestampMonotonic"])
    state = json.loads(machine.run(program, "service", "status", "--json").stdout)
    assert state["ActiveState"] == "active"

    again = machine.run(program, "service", "install")
    assert again.returncode == 0
    assert "write" not in again.stderr
    assert machine.show("gluon-edge")["MainPID"] == found["MainPID"], "nothing changed, so nothing was restarted"

    pid = found["MainPID"]
    stat = Path(f"/proc/{machine.init}/root/proc/{pid}/status").read_text()
    assert re.search(r"CapEff:\s+0+\n", stat), "no capability"
    assert not re.search(r"Uid:\s+0\s", stat), "not root"

    machine.run("systemctl", "reload", "gluon-edge")
    wait_until(lambda: machine.show("gluon-edge")["ActiveState"] == "active", 10, "the reload")
    assert int(machine.show("gluon-edge")["WatchdogTimestampMonotonic"]) >= first

    begun = time.monotonic()
    machine.run("systemctl", "stop", "gluon-edge")
    assert time.monotonic() - begun < 5.5
    found = machine.show("gluon-edge")
    assert (found["ActiveState"], found["Result"], found["ExecMainStatus"]) == ("inactive", "success", "0")

    gone = machine.run(program, "service", "uninstall")
    assert gone.returncode == 0, gone.stderr
    assert "kept /var/lib/private/gluon-edge" in gone.stderr
    assert machine.show("gluon-edge")["LoadState"] in {"not-found", "bad-setting"}
    assert machine.run("ls", "/var/lib/private/gluon-edge").stdout.split()
    assert machine.run("ls", "/etc/gluon-edge/agent.toml").returncode == 0
    assert machine.run(program, "service", "uninstall", "--purge").returncode == 0
    assert machine.run("ls", "/var/lib/private/gluon-edge").returncode != 0


@pytest.mark.usefixtures("signed")
def test_update_when_the_agent_is_in_its_sandbox_then_it_commits_refuses_and_rolls_back_there_too(machine):
    program = "/opt/gluon-edge/bin/gluon-edge"
    secrets = ("mqtt:/etc/gluon-edge/mqtt.password", "release:/etc/gluon-edge/release.pub")
    machine.add(*(f"LoadCredential={s}" for s in secrets))
    assert machine.run(program, "service", "install").returncode == 0, machine.said
    pid = machine.show("gluon-edge")["MainPID"]

    def update(version):
        done = machine.run(program, "update", f"/etc/gluon-edge/{version}.zip", "-c", "/etc/gluon-edge/agent.toml")
        return done.returncode, done.stderr.split("\n"), machine.said

    status, told, said = update("1.1.0")
    assert status == 0, (told, said)
    assert told[-2] == "committed", told

    status, told, said = update("3.0.0")
    assert status == 1, said
    assert "needs more than 1024 MiB of memory" in told[-2], told

    # What live frames would have shown is not looked for: it goes wrong at work.
    machine.run(
        "sed",
        "-i",
        "s/shadow_frames = 3/shadow_frames = 0/; s/watch_s = 0.5/watch_s = 60/",
        "/etc/gluon-edge/agent.toml",
    )
    machine.run("systemctl", "reload", "gluon-edge")
    wait_until(lambda: "reload: changed updates" in machine.said, 20, "the reload")
    status, told, said = update("2.0.0")
    assert status == 1, said
    assert "2.0.0 runs, and is watched" in said
    assert "error: rolled_back: it has failed on" in told[-2], told

    found = machine.show("gluon-edge")
    assert (found["ActiveState"], found["NRestarts"], found["MainPID"]) == ("active", "0", pid)
    state = json.loads(machine.run("cat", "/var/lib/private/gluon-edge/n1.models/state.json").stdout)
    assert (state["update"]["version"], state["update"]["phase"]) == ("2.0.0", "rolled_back")
    assert machine.run("ls", f"/var/lib/private/gluon-edge/n1.models/{state['active']}/model.onnx").returncode == 0


def test_service_when_the_process_hangs_then_systemds_watchdog_starts_it_anew(machine):
    watched = ("WatchdogSec=2", "RestartSec=0.1", "TimeoutAbortSec=1")
    machine.add("LoadCredential=mqtt:/etc/gluon-edge/mqtt.password", *watched)
    assert machine.run("/opt/gluon-edge/bin/gluon-edge", "service", "install").returncode == 0
    pid = machine.show("gluon-edge")["MainPID"]
    time.sleep(3)
    assert machine.show("gluon-edge")["MainPID"] == pid, "fed, it lives"

    machine.run("kill", f"-{int(signal.SIGSTOP)}", pid)

    wait_until(lambda: machine.show("gluon-edge")["MainPID"] not in {pid, "0"}, 60, "a new process")
    wait_until(lambda: machine.show("gluon-edge")["ActiveState"] == "active", 60, "ready again")
    assert machine.show("gluon-edge")["NRestarts"] == "1"

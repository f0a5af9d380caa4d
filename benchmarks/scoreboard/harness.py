"""A real Mosquitto, a node as a process, a subscriber that remembers, and the sum of what was accepted and what came."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from benchmarks.scoreboard.proxy import Proxy
from benchmarks.scoreboard.sum import Event, Sum, added_up

__all__ = ["Broker", "Listener", "Node", "Stage", "until"]

ROOT = Path(__file__).resolve().parents[2]


def until(condition: Callable[[], Any], seconds: float) -> bool:
    """Whether it came true in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return bool(condition())


class Broker:
    """Mosquitto on a port of its own, which remembers its state as its autosave says."""

    def __init__(self, folder: Path, extra: str = "") -> None:
        program = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
        if program is None:
            raise SystemExit("the scoreboard needs a real broker: sudo apt-get install mosquitto")
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port: int = s.getsockname()[1]
        self._program = program
        self._log = folder / "mosquitto.log"
        self._config = folder / "mosquitto.conf"
        user = "user root\n" if os.geteuid() == 0 else ""
        self._config.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\npersistence true\npersistence_location {folder}/\n"
            # Not max_queued_messages 0: Mosquitto then hangs up on every message that it denies (case 9 does that too).
            f"autosave_interval 1\nmax_inflight_messages 0\n{user}{extra}\n"
            + ("" if "max_queued_messages" in extra else "max_queued_messages 10000000\n")
        )
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Starts it and waits until it listens."""
        with self._log.open("ab") as log:
            self.process = subprocess.Popen([self._program, "-c", str(self._config)], stdout=log, stderr=log)
        if not until(self._listens, 10):
            raise SystemExit(f"mosquitto does not start: {self._log.read_text()}")

    def send_signal(self, number: int) -> None:
        """Stops it in its tracks, or lets it go on."""
        if self.process is not None:
            self.process.send_signal(number)

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Ends it."""
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(number)
            self.process.wait(10)
            self.process = None

    def _listens(self) -> bool:
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.port)) == 0


class Listener:
    """Subscribes with a session of its own, so that nothing is missed between two connections."""

    def __init__(self, port: int) -> None:
        self.events: list[tuple[Event, str, bool]] = []
        self.gaps: list[dict[str, Any]] = []
        self.status: list[str] = []
        self._ready = threading.Event()
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id="listener",
            protocol=MQTTProtocolVersion.MQTTv311,
            clean_session=False,
        )
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = lambda client, *_: client.subscribe("edge/#", qos=1)
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.on_message = self._heard
        self._client.connect_async("127.0.0.1", port, 10)
        self._client.loop_start()

    def ready(self) -> None:
        """Waits for the subscription."""
        self._ready.wait(60)

    def _heard(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        if message.topic.endswith("/event"):
            found = json.loads(message.payload)
            event = found["boot_id"], found["seq"]
            self.events.append((event, found["camera"], bool(found.get("replayed"))))
        elif message.topic.endswith("/gap"):
            self.gaps.append(json.loads(message.payload))
        elif message.topic.endswith("/status"):
            self.status.append(message.payload.decode())

    def close(self) -> None:
        """Leaves."""
        self._client.disconnect()
        self._client.loop_stop()
        self._client.on_connect = self._client.on_subscribe = self._client.on_message = None


class Node:
    """The process that makes events, and what it said."""

    def __init__(self, subject: str, broker: str, state: Path, *args: str, within: Sequence[str] = ()) -> None:
        command = [
            *within,
            sys.executable,
            "-m",
            "benchmarks.scoreboard.node",
            subject,
            "--broker",
            broker,
            "--state",
            str(state),
        ]
        self.accepted: set[Event] = set()
        self.poison: set[Event] = set()
        self.rss_kb = 0
        self.alarms: list[str] = []
        self.alarmed: set[str] = set()
        self.process = subprocess.Popen(
            [*command, *args], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self._boot, self._next = "", 1
        self._thread = threading.Thread(target=self._read, name="node", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        for line in self.process.stdout or ():
            word, _, rest = line.strip().partition(" ")
            if not line.endswith("\n"):
                break  # killed in the middle of it
            if word == "boot":
                self._boot, first = rest.split()
                self._next = int(first)
            elif word == "accepted":
                self.accepted |= {(self._boot, s) for s in range(self._next, int(rest) + 1)}
                self._next = int(rest) + 1
            elif word == "poison":
                self.poison.add((self._boot, int(rest)))
            elif word == "rss":
                self.rss_kb = int(rest)
            elif word == "alarms":
                self.alarms = json.loads(rest)
                self.alarmed.update(self.alarms)

    def kill(self) -> None:
        """SIGKILL; what it had said counts."""
        self.process.kill()
        self._ended()

    def stop(self, seconds: float = 25) -> float | None:
        """SIGTERM; how long it took, None when it had to be killed or ended badly."""
        begun = time.monotonic()
        if self.process.poll() is None:
            self.process.terminate()
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            return None
        self._ended()
        return time.monotonic() - begun if status == 0 else None

    def _ended(self) -> None:
        self.process.wait()
        self._thread.join(5)
        if self.process.stdout is not None:
            self.process.stdout.close()


@dataclass
class Stage:
    """A folder, a broker, a proxy before it, a listener behind it; `full` asks for the long version of a case."""

    subject: str
    full: bool
    folder: Path
    broker: Broker
    proxy: Proxy
    listener: Listener
    accepted: set[Event] = field(default_factory=set)
    poison: set[Event] = field(default_factory=set)

    @classmethod
    @contextlib.contextmanager
    def build(cls, subject: str, *, full: bool, extra: str = "", up: bool = True) -> Iterator["Stage"]:
        """Builds it and takes it down."""
        with tempfile.TemporaryDirectory(prefix="scoreboard-") as name, contextlib.ExitStack() as stack:
            folder = Path(name)
            broker = Broker(folder, extra.replace("FOLDER", name))
            stack.callback(broker.stop, signal.SIGKILL)
            if up:
                broker.start()
            proxy = Proxy(broker.port)
            proxy.mode = "pass" if up else "refuse"
            stack.callback(proxy.close)
            listener = Listener(broker.port)
            stack.callback(listener.close)
            if up:
                listener.ready()
            yield cls(subject, full, folder, broker, proxy, listener)

    def node(self, *args: str, within: Sequence[str] = ()) -> Node:
        """Starts the subject; `within` is a command that runs its own arguments."""
        return Node(self.subject, self.proxy.url, self.folder / "state", *args, within=within)

    def open(self) -> None:
        """The broker comes; nodes reach it once the listener has subscribed, or it would miss what they say."""
        self.broker.start()
        self.listener.ready()
        self.proxy.mode = "pass"

    def take(self, node: Node) -> None:
        """Takes down what a node that has ended held for accepted."""
        self.accepted |= node.accepted
        self.poison |= node.poison

    def settled(self, node: Node) -> bool:
        """Whether everything that a node holds for accepted so far has come, or was told to be given up."""
        self.accepted |= node.accepted
        return self.accepted - node.poison <= {event for event, *_ in list(self.listener.events)} | self._told()

    def sum(self, seconds: float = 10.0) -> Sum:
        """Waits until everything accepted has come, or nothing comes any more."""
        wanted = self.accepted - self.poison
        quiet_since, count = time.monotonic(), -1
        while time.monotonic() - quiet_since < seconds:
            seen = {event for event, *_ in list(self.listener.events)}
            if wanted <= seen | self._told():
                break
            if len(self.listener.events) != count:
                quiet_since, count = time.monotonic(), len(self.listener.events)
            time.sleep(0.05)
        return added_up(wanted, list(self.listener.events), self._told())

    def _told(self) -> set[Event]:
        """What receipts say was given up."""
        told = set()
        for gap in list(self.listener.gaps):
            if gap["first_seq"] is not None:
                lost = {(b, s) for b, s in self.accepted if gap["first_seq"] <= s <= gap["last_seq"]}
                told |= lost if len(lost) <= gap["count"] else set()
        return told

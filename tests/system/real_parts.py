"""Real parts: Mosquitto on a free loopback port, the agent as a process of its own, a subscriber that listens."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

ROOT = Path(__file__).resolve().parents[2]


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_until(condition: Callable[[], Any], seconds: float, what: str) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.01)
    pytest.fail(f"waited {seconds} s in vain for {what}")


class Broker:
    """A Mosquitto that can be started, stopped and killed on one port."""

    def __init__(self, folder: Path, extra: str = "", *, anonymous: bool = True) -> None:
        program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
        if program is None:
            pytest.fail("these tests need a real broker: sudo apt-get install mosquitto", pytrace=False)
        self.program = program
        self.port = free_port()
        self.folder = folder
        self.log = folder / f"mosquitto-{self.port}.log"
        self.config = folder / f"mosquitto-{self.port}.conf"
        lines = [
            f"listener {self.port} 127.0.0.1",
            f"allow_anonymous {'true' if anonymous else 'false'}",
            "log_type all",
            "max_queued_messages 1000000",  # a slow subscriber of a test is not to lose what the agent delivered
            extra,
        ]
        if os.geteuid() == 0:
            lines.append("user root")  # or it becomes a user who may not read the test's files
        self.config.write_text("\n".join(lines) + "\n")
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> "Broker":
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([self.program, "-c", self.config], stdout=log, stderr=log)
        wait_until(self._listens, 10, f"mosquitto; it said: {self.log.read_text()}")
        return self

    def _listens(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(10)
            self.process = None


class Subscriber:
    """Listens to everything, and remembers it in order. `tls`: files of the authority, its certificate and its key."""

    def __init__(
        self, port: int, topic: str = "#", tls: tuple[Path, Path, Path] | None = None, **credentials: str
    ) -> None:
        self.messages: list[paho.MQTTMessage] = []
        self._ready = threading.Event()
        messages, ready = self.messages, self._ready
        self.client = paho.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        if credentials:
            self.client.username_pw_set(**credentials)
        if tls is not None:
            self.client.tls_set(*map(str, tls))
        self.client.on_message = lambda _c, _u, message: messages.append(message)
        self.client.on_connect = lambda client, *_: client.subscribe(topic, qos=1)
        self.client.on_subscribe = lambda *_: ready.set()
        self.client.reconnect_delay_set(1, 1)
        self.client.connect("127.0.0.1" if tls is None else "localhost", port, 10)
        self.client.loop_start()
        assert self._ready.wait(10)

    def payloads(self, ending: str, *, retained: bool | None = None) -> list[Any]:
        found = [m for m in self.messages if m.topic.endswith(ending) and retained in {None, m.retain}]
        return [_parsed(m.payload) for m in found]

    def events(self, camera: str | None = None) -> list[dict[str, Any]]:
        return self.payloads(f"{camera}/event" if camera else "/event")

    def wait_for(self, ending: str, test: Callable[[Any], Any] = lambda _: True, seconds: float = 60) -> Any:
        def found() -> list[Any]:
            return [p for p in self.payloads(ending) if test(p)]

        return wait_until(found, seconds, f"{ending}; came: {sorted({m.topic for m in self.messages})}")[0]

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()
        del self.client  # paho closes its inner sockets when the last reference goes


def _parsed(payload: bytes) -> Any:
    try:
        return json.loads(payload)
    except ValueError:
        return payload.decode(errors="replace")


class AgentProcess:
    """`gluon-edge run` as a process; what it says on stderr is in `.log`."""

    def __init__(self, folder: Path, config: str, env: dict[str, str]) -> None:
        path = folder / "agent.toml"
        path.write_text(config)
        path.chmod(0o600)
        self.log = folder / f"agent-{time.monotonic_ns()}.log"
        environment = {k: v for k, v in os.environ.items() if not k.startswith("GLUON_EDGE_")}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-W", "error", "-m", "edge", "run", "-c", path],
                cwd=ROOT,
                stdout=log,
                stderr=log,
                env={**environment, **env},
            )

    @property
    def said(self) -> str:
        return self.log.read_text()

    def wait_for_line(self, text: str, seconds: float = 60) -> None:
        wait_until(lambda: text in self.said, seconds, f"{text!r} in the agent's log:\n{self.said}")

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def wait(self, seconds: float = 60) -> int:
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            pytest.fail(f"the agent is still running; it said:\n{self.said}")

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)

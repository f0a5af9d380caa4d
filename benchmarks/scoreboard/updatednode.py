"""An agent in front of a video that new models are brought to over the wire, and what a subscriber hears of it."""

import contextlib
import json
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.scoreboard.harness import ROOT, Broker, until

# Bundle and video are those of the tests, which are no package.
sys.path.append(str(ROOT / "tests"))

from bundles import detection_bundle, squares_video

__all__ = ["PATIENCE_S", "UpdatedNode", "running"]

# What is measured is what happens, not how fast: the machine may have much else to do.
PATIENCE_S = 240.0
_FINAL = {"committed", "failed", "rolled_back"}


class UpdatedNode:
    """An agent in front of a video, its broker, and what a subscriber heard of it."""

    def __init__(self, folder: Path, model: str = "") -> None:
        self.folder = folder
        self._broker = Broker(folder)
        self._broker.start()
        self.updates: list[dict[str, Any]] = []
        self.versions: list[str] = []
        self.answers: dict[str, dict[str, Any]] = {}
        self.status: list[str] = []
        ready = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.on_message = self._heard
        self._client.on_subscribe = lambda *_: ready.set()
        self._client.connect("127.0.0.1", self._broker.port)
        self._client.subscribe("edge/n1/#", 1)
        self._client.loop_start()
        ready.wait(5)
        detection_bundle(folder / "old")
        squares_video(folder / "v.avi", ([{"red": (10, 10, 40)}] * 5 + [{}] * 5) * 10)
        self.config = folder / "agent.toml"
        self.config.write_text(
            f'state_dir = "{folder / "state"}"\n[model]\nbundle = "old"\nthreads = 1\n{model}\n'
            f'[mqtt]\nbroker = "{self._broker.url}"\nnode = "n1"\n[events]\nhold_s = 0\ncooldown_s = 0\n'
            '[cameras.gate]\nsource = "v.avi"\nloop = true\n[commands]\nallow = ["update"]\n'
            "[updates]\nshadow_frames = 12\nshadow_s = 60\nwatch_s = 0.5\nmax_slowdown = 200\nmax_memory_mb = 1024\n"
        )
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *pause: str) -> bool:
        """Whether it looks at frames soon."""
        module = ["-m", "benchmarks.scoreboard.pausing", *pause] if pause else ["-m", "edge"]
        before = len(self.versions)
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *module, "run", "-c", str(self.config)], cwd=ROOT, stderr=log
            )
        return self.looks(before)

    def looks(self, before: int | None = None) -> bool:
        """Whether events come."""
        count = len(self.versions) if before is None else before
        return until(lambda: len(self.versions) > count + 1, PATIENCE_S)

    def bring(self, archive: Path, sha256: str, seconds: float = PATIENCE_S) -> dict[str, Any]:
        """How an update over the wire ended."""
        ident = f"c{time.monotonic_ns()}"
        body = json.dumps({"id": ident, "args": {"url": archive.as_uri(), "sha256": sha256}})
        self._client.publish("edge/n1/cmd/update", body, 1)
        until(lambda: ident in self.answers, PATIENCE_S)
        update = self.answers.get(ident, {}).get("result", {}).get("update")

        def ends() -> list[dict[str, Any]]:
            return [u for u in self.updates if u["id"] == update and u["phase"] in _FINAL]

        until(ends, seconds)
        return (ends() or [{"phase": None, "reason": None}])[-1]

    def send(self, archive: Path, sha256: str) -> None:
        """Asks for an update, and does not wait."""
        body = json.dumps({"id": f"c{time.monotonic_ns()}", "args": {"url": archive.as_uri(), "sha256": sha256}})
        self._client.publish("edge/n1/cmd/update", body, 1)

    def end(self, number: int) -> int | None:
        """Ends the agent; its status."""
        if self.process is None:
            return None
        self.process.send_signal(number)
        try:
            return self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return None

    def close(self) -> None:
        """Takes everything down."""
        self.end(signal.SIGKILL)
        self._client.disconnect()
        self._client.loop_stop()
        self._client.on_message = self._client.on_subscribe = None
        self._broker.stop(signal.SIGKILL)

    def _heard(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        last = message.topic.rsplit("/", 1)[-1]
        if last == "status":
            self.status.append(message.payload.decode())
        elif last == "event":
            self.versions.append(json.loads(message.payload)["model"]["version"])
        elif message.topic == "edge/n1/update":
            self.updates.append(json.loads(message.payload))
        elif "/ack/" in message.topic:
            found = json.loads(message.payload)
            self.answers[found["id"]] = found


@contextlib.contextmanager
def running(model: str = "") -> Iterator[UpdatedNode]:
    """An agent that looks."""
    with tempfile.TemporaryDirectory(prefix="scoreboard-") as name:
        folder = Path(name)
        node = UpdatedNode(folder, model)
        try:
            if not node.start():
                raise SystemExit(f"the agent does not look: {(folder / 'log').read_text()[-2000:]}")
            yield node
        finally:
            node.close()

"""A broker of the demo's own on a free loopback port: Mosquitto where it is installed, else the embedded amqtt."""

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edge.errors import TransportError

__all__ = ["LocalBroker", "local_broker"]

_START_S = 10.0


@dataclass(frozen=True, slots=True)
class LocalBroker:
    """Where it listens and what it is."""

    url: str
    kind: str


@contextmanager
def local_broker() -> Iterator[LocalBroker]:
    """Start a broker for as long as the block runs; nothing outside this machine can reach it.

    Raises:
        TransportError: when neither Mosquitto nor amqtt is installed, or it does not come up.
    """
    port = _free_port()
    with tempfile.TemporaryDirectory(prefix="gluon-edge-broker-") as folder:
        kind, command = _command(Path(folder), port)
        log = Path(folder) / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, cwd=folder)  # noqa: S603
        try:
            _wait_until_listening(process, port, log)
            yield LocalBroker(f"mqtt://127.0.0.1:{port}", kind)
        finally:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _command(folder: Path, port: int) -> tuple[str, list[str]]:
    config = folder / "broker.conf"
    path = os.environ.get("PATH", "") + os.pathsep + "/usr/sbin" + os.pathsep + "/usr/local/sbin"
    mosquitto = shutil.which("mosquitto", path=path)
    if mosquitto is not None:
        config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
        return "Mosquitto", [mosquitto, "-c", str(config)]
    if importlib.util.find_spec("amqtt") is not None:
        config.write_text(
            f"listeners:\n  default:\n    type: tcp\n    bind: 127.0.0.1:{port}\n"
            "plugins:\n  amqtt.plugins.authentication.AnonymousAuthPlugin:\n    allow_anonymous: true\n"
        )
        start = "import sys; sys.argv[0] = 'amqtt'; from amqtt.scripts.broker_script import main; main()"
        return "amqtt (embedded, MQTT 3.1.1)", [sys.executable, "-c", start, "-c", str(config)]
    raise TransportError("no broker here: install one (apt-get install mosquitto) or pip install 'gluon-edge[demo]'")


def _wait_until_listening(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=0.5):
                return
        except OSError:
            time.sleep(0.05)
    last = log.read_text(errors="replace").strip().splitlines()[-1:]
    raise TransportError(f"the local broker did not start: {last[0] if last else 'it said nothing'}")


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])

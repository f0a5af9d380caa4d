"""The configuration, and what it names: the bundle, secrets, the broker."""

import contextlib
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

from edge.bundle.admission import admitted
from edge.config import Config, MqttConfig, broker_address
from edge.config.file import check_config, load_config
from edge.doctor.finding import Finding
from edge.errors import EdgeError
from edge.inference.golden import check
from edge.inference.stages import Stage
from edge.inference.tuned import options_for, recall

__all__ = ["check_configuration", "check_node"]


def check_configuration(path: Path) -> tuple[Config | None, list[Finding]]:
    """The configuration when it can be used, and everything that is wrong with it."""
    problems = check_config(path)
    if problems:
        mend = f"edit it; gluon-edge config check -c {path}"
        return None, [Finding("wrong", "configuration", problem, mend) for problem in problems]
    return load_config(path), [Finding("good", "configuration", str(path))]


def check_node(config: Config, state_dir: Path) -> Iterator[Finding]:
    """What the configuration names."""
    yield from _secrets(config)
    yield from _model(config, state_dir)
    if config.transport == "mqtt":
        yield from _broker(config.mqtt)


def _secrets(config: Config) -> Iterator[Finding]:
    mqtt = config.mqtt
    files = [mqtt.password_file, mqtt.key_file, *(camera.password_file for camera in config.cameras.values())]
    for path in dict.fromkeys(p for p in files if p is not None):
        try:
            mode = path.stat().st_mode
            with path.open("rb"):
                pass
        except OSError as e:
            yield Finding("wrong", "secret", f"{path}: {e.strerror}", f"put it there, for this user: chmod 600 {path}")
            continue
        if stat.S_ISREG(mode) and mode & stat.S_IROTH:
            yield Finding("wrong", "secret", f"{path}: everyone may read it, so it is refused", f"chmod 600 {path}")
        else:
            yield Finding("good", "secret", f"{path}: private")


def _model(config: Config, state_dir: Path) -> Iterator[Finding]:
    path = config.model.bundle
    try:
        bundle = admitted(config)
        stage = Stage(bundle, options_for(bundle, config.model, state_dir))
        report = check(bundle, stage)
    except EdgeError as e:
        yield Finding("wrong", "model", str(e), f"gluon-edge bundle test {path}")
        return
    for provider, why in stage.session.fell_away.items():
        yield Finding("wrong", "model", f"provider {provider} falls away: {why}", "see docs/providers.md")
    if not report.ok:
        text = f"{path}: computes something else here than where it was made: {report.problems[0]}"
        yield Finding("wrong", "model", text, f"gluon-edge tune {path}, or another provider")
    else:
        yield Finding("good", "model", f"{path}: the golden sample comes out on {stage.session.provider}")
    if config.model.providers is None and recall(state_dir, bundle.digest) is None:
        yield Finding("note", "model", "was not tuned for this device", f"gluon-edge tune {path}")


def _broker(mqtt: MqttConfig) -> Iterator[Finding]:
    """Whether somebody listens there; who may speak is the agent's to find out."""
    for url in (mqtt.broker, *mqtt.fallbacks):
        address = broker_address(url)
        try:
            with contextlib.closing(socket.create_connection((address.host, address.port), mqtt.connect_timeout_s)):
                yield Finding("good", "broker", f"{url}: listens")
        except OSError as e:
            mend = f"start it, or open port {address.port} on the way; then gluon-edge watch --broker {url}"
            yield Finding("wrong", "broker", f"{url}: {e.strerror or e}", mend)

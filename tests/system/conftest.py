"""Fixtures of the real parts: a broker, a subscriber and an agent that end with their test."""

import gc
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bundles
import pytest
from real_parts import AgentProcess, Broker, Subscriber


@pytest.fixture(scope="session")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundles.detection_bundle(tmp_path_factory.mktemp("bundle") / "det")


@pytest.fixture
def make_broker(tmp_path: Path) -> Iterator[Callable[..., Broker]]:
    made: list[Broker] = []

    def make(extra: str = "", *, anonymous: bool = True) -> Broker:
        made.append(Broker(tmp_path, extra, anonymous=anonymous))
        return made[-1]

    yield make
    for broker in made:
        broker.stop(signal.SIGKILL)


@pytest.fixture
def broker(make_broker: Callable[..., Broker]) -> Broker:
    return make_broker().start()


@pytest.fixture
def listen() -> Iterator[Callable[..., Subscriber]]:
    made: list[Subscriber] = []

    def make(broker: Broker, topic: str = "#", **how: Any) -> Subscriber:
        made.append(Subscriber(broker.port, topic, **how))
        return made[-1]

    yield make
    for subscriber in made:
        subscriber.close()
    made.clear()
    gc.collect()


@pytest.fixture
def run_agent(tmp_path: Path) -> Iterator[Callable[..., AgentProcess]]:
    made: list[AgentProcess] = []

    def run(config: str, **env: str) -> AgentProcess:
        made.append(AgentProcess(tmp_path, config, {"GLUON_EDGE_STATE_DIR": str(tmp_path / "state"), **env}))
        return made[-1]

    yield run
    for agent in made:
        agent.kill()


@pytest.fixture
def config(detector: Path) -> Callable[..., str]:
    def make(broker: Broker | None, cameras: str, more: str = "", mqtt: str = "", events: str = "hold_s = 0.3") -> str:
        url = "mqtt://127.0.0.1:1" if broker is None else broker.url
        return (
            f'[model]\nbundle = "{detector}"\nthreads = 1\n'
            f'[mqtt]\nbroker = "{url}"\nnode = "n1"\nreconnect_max_s = 1\n{mqtt}\n'
            f"[events]\n{events}\n[health]\nevery_s = 0.5\n{more}\n{cameras}\n"
        )

    return make

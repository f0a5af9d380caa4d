"""Events a second through the nucleus's IPC, beside AWS's own client asked one after another on the same nucleus.

The nucleus is the double of the tests, or with TEST_NUCLEUS=real the one that this process is a component of
(`.ci/nucleus-lite SOURCES -- ".venv/bin/python -m benchmarks greengrass"`). Rounds of both ways follow one another on the
machine as it is then, and the median of their ratios is told: the double is a thread of this process, so only the
ratio of its rows means something. Three cameras, events of 600 bytes; each waits for the nucleus's answer.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["measure"]

_TESTS = Path(__file__).resolve().parents[1] / "tests"
_CAMERAS = ("door", "gate", "yard")
_EVENTS, _ROUNDS = 600, 5
_LOOK_S = 0.0002
_BODY = b'{"schema":"event/1.0","object":"' + b"x" * 566 + b'"}'


def measure() -> list[dict[str, Any]]:
    """A row for each nucleus and each destination."""
    sys.path.insert(0, str(_TESTS))  # where the tests' nucleus lies, and the observer that they share
    rows = []
    for name, env in _nuclei():
        with env as variables:
            rows += [_row(name, destination, variables) for destination in ("iot-core", "local")]
    return rows


def _nuclei() -> list[tuple[str, Any]]:
    if os.environ.get("TEST_NUCLEUS") == "real":
        return [("lite, real", _as_it_is())]
    return [("lite, the double", _double("LITE")), ("classic, the double", _double("CLASSIC"))]


@contextmanager
def _as_it_is() -> Iterator[dict[str, str]]:
    yield dict(os.environ)


@contextmanager
def _double(kind: str) -> Iterator[dict[str, str]]:
    import greengrass_double

    with tempfile.TemporaryDirectory(prefix="gg") as folder:
        double = greengrass_double.Double(Path(folder) / "ipc", getattr(greengrass_double, kind)).start()
        try:
            yield double.env
        finally:
            double.close()


def _row(name: str, destination: str, env: dict[str, str]) -> dict[str, Any]:
    from greengrass_places import Place, until

    from edge.transports import Connected

    place = Place(env)
    try:
        transport = place.transport(destination)
        woken = threading.Event()
        transport.connect(woken.set)
        until(lambda: any(isinstance(n, Connected) for n in transport.notices()))
        topics = [f"edge/{place.thing}/{camera}/event" for camera in _CAMERAS]
        ours, theirs = [], []
        for n in range(_ROUNDS + 1):  # the first warms up
            theirs.append(_one_by_one(place, destination, topics))
            ours.append(_through(place, transport, topics, woken))
            if not n:
                ours, theirs = [], []
    finally:
        place.close()
    ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
    return {
        "nucleus": name,
        "destination": destination,
        "events_a_second": round(statistics.median(ours)),
        "awsiotsdk_one_by_one": round(statistics.median(theirs)),
        "ratio": round(ratio, 2),
    }


def _through(place: Any, transport: Any, topics: list[str], woken: threading.Event) -> float:
    """Ours, with as much waiting as the uplink lets wait."""
    from edge.transports import Acknowledged

    window, waiting, begun = 20, 0, time.perf_counter()
    for n in range(_EVENTS):
        while waiting >= window:
            woken.wait(1.0)
            woken.clear()
            waiting -= sum(isinstance(n, Acknowledged) for n in transport.notices())
        transport.send(topics[n % len(topics)], _BODY, qos=1, retain=False)
        waiting += 1
    place.collect(transport, waiting)
    return _EVENTS / (time.perf_counter() - begun)


def _one_by_one(place: Any, destination: str, topics: list[str]) -> float:
    from awsiot.greengrasscoreipc.model import ServiceError

    begun = time.perf_counter()
    for n in range(_EVENTS):
        while True:
            try:
                place.say(destination, topics[n % len(topics)], _BODY)
                break
            except ServiceError:  # the lite nucleus answers before the cloud does, and takes no more than ten records
                time.sleep(_LOOK_S)
    return _EVENTS / (time.perf_counter() - begun)

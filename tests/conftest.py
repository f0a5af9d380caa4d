"""What every test must leave as it found it: threads, child processes, sockets."""

import logging
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from street import ROOT, STREET

# One thread a library: two cores are shared with brokers and agents that the tests start.
for name in [n for n in os.environ if n.startswith("GLUON_EDGE_")]:
    del os.environ[name]  # what is configured on this machine is no test's, nor that of the agents that tests start
os.environ.setdefault("OMP_NUM_THREADS", "1")
# MXNet's default CPU sub-graph pass is wrong for some nets; as a reference it must be off.
os.environ.setdefault("MXNET_SUBGRAPH_BACKEND", "NONE")


def _sockets() -> set[tuple[int, str]]:
    found = set()
    for fd in Path("/proc/self/fd").iterdir():
        try:
            target = str(fd.readlink())
        except OSError:
            continue
        if target.startswith("socket:"):
            found.add((int(fd.name), target))
    return found


def _settled(read, before, seconds=3.0):
    """What `read()` finds beyond `before`, once it had a moment to go away by itself."""
    deadline = time.monotonic() + seconds
    while (extra := read() - before) and time.monotonic() < deadline:
        time.sleep(0.02)
    return extra


@pytest.fixture(autouse=True)
def no_leaks() -> Iterator[None]:
    process = psutil.Process()

    def threads() -> set[threading.Thread]:
        # A dummy stands for a library's native thread that once called into Python, not for one of ours.
        ours = [t for t in threading.enumerate() if not isinstance(t, threading._DummyThread)]
        return {t for t in ours if not t.name.startswith("tqdm")}

    def children() -> set[int]:
        return {c.pid for c in process.children(recursive=True) if c.status() != psutil.STATUS_ZOMBIE}

    before = threads(), children(), _sockets()
    yield
    left_threads = _settled(threads, before[0])
    left_children = _settled(children, before[1])
    left_sockets = _settled(_sockets, before[2])
    assert not left_threads, f"threads left running: {[t.name for t in left_threads]}"
    assert not left_children, f"child processes left running: {left_children}"
    assert not left_sockets, f"sockets left open: {left_sockets}"


@pytest.fixture(autouse=True)
def no_handlers_left() -> Iterator[None]:
    """A command run in this process logs to the test's own stderr, which is gone after it."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)


@pytest.fixture(scope="session")
def data() -> Path | None:
    """The folder of real weights and images that developers have beside the repository, or None.

    No test may depend on it to pass: where it is absent, nets with random weights and drawn pictures serve.
    """
    folder = ROOT.parent / "shared" / "data"
    return folder if (folder / "weights").is_dir() else None


@pytest.fixture(scope="session")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of the demo's detector, real trained weights, converted once by the real command. Do not change it."""
    from export.cli import main

    out = tmp_path_factory.mktemp("bundles") / "street"
    assert main(["convert", *STREET, "-o", str(out)]) == 0
    return out

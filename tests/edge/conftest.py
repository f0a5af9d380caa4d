"""What several files of these tests have in hand: a spool, and a Greengrass nucleus.

The nucleus is the double, or the real one that this very process runs under.
"""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from greengrass_double import CLASSIC, LITE, Double
from greengrass_places import Place
from spooling import World

REAL = os.environ.get("TEST_NUCLEUS") == "real"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A spool that is driven by hand."""
    world = World(tmp_path / "spool.db")
    yield world
    world.spool.close()


@pytest.fixture(params=["lite", "classic"])
def double(request: pytest.FixtureRequest) -> Iterator[Double]:
    # A Unix socket's path is at most 107 bytes: pytest's folders can be longer.
    with tempfile.TemporaryDirectory(prefix="gg") as folder:
        made = Double(Path(folder) / "ipc", LITE if request.param == "lite" else CLASSIC).start()
        yield made
        made.close()


if REAL:

    @pytest.fixture
    def nucleus() -> Iterator[Place]:
        place = Place(dict(os.environ))
        yield place
        place.close()

else:

    @pytest.fixture
    def nucleus(double: Double) -> Iterator[Place]:
        place = Place(double.env)
        yield place
        place.close()

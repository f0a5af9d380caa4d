"""What pip installs is the whole product: every file is in the wheel, and it works where there is no checkout."""

import configparser
import json
import os
import subprocess
import sys
import zipfile
from importlib import import_module
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The wheel, unpacked as pip would."""
    folder = tmp_path_factory.mktemp("wheel")
    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site-packages")
    return folder / "site-packages"


def run(installed, *arguments):
    """What a command of the wheel's prints, far from the checkout."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"PYTHONPATH": str(installed)}
    command = [sys.executable, "-m", *map(str, arguments)]
    done = subprocess.run(
        command, cwd=installed.parent, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_wheel_when_it_is_built_then_no_file_of_the_packages_is_missing_and_none_is_foreign(installed):
    def files(root):
        found = (p for package in ("edge", "export") for p in (root / package).rglob("*") if p.is_file())
        return {p.relative_to(root) for p in found if "__pycache__" not in p.parts}

    assert files(installed) == files(ROOT)
    assert {p.name.partition("-")[0] for p in installed.iterdir()} == {"edge", "export", "gluon_edge"}


def test_wheel_when_it_is_installed_then_its_commands_are_there(installed):
    (path,) = installed.glob("*.dist-info/entry_points.txt")
    points = configparser.ConfigParser()
    points.read(path)
    for name, target in points["console_scripts"].items():
        module, _, function = target.partition(":")
        assert callable(getattr(import_module(module), function)), name
    assert points["console_scripts"].keys() == {"gluon-edge", "gluon-export"}


def test_wheel_when_there_is_no_checkout_then_what_it_ships_is_found(installed):
    tested = json.loads(
        run(installed, "edge", "bundle", "test", installed / "edge" / "demo" / "pattern_ssd.zip", "--json")
    )
    assert tested["ok"]
    assert len(json.loads(run(installed, "export", "zoo", "list", "--json"))) > 300

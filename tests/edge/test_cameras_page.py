"""docs/cameras.md: its configuration loads, its camera works, its figures are the recorded ones."""

import json
import re
from pathlib import Path

from camera_parts import opening

from edge.cameras import OPENERS
from edge.config.file import load_config

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "cameras.md").read_text()


def test_page_when_its_configuration_is_copied_then_every_camera_has_the_kind_it_says(tmp_path):
    path = tmp_path / "agent.toml"
    path.write_text(re.search(r"```toml\n(.*?)```", PAGE, re.DOTALL)[1])

    kinds = {name: camera.inferred_kind for name, camera in load_config(path, {}).cameras.items()}

    assert kinds == {
        "usb": "v4l2", "gate": "url", "yard": "url", "pi": "picamera", "jetson": "gstreamer", "tape": "video",
        "album": "images", "known": "pattern",
    }  # fmt: skip
    assert set(kinds.values()) == set(OPENERS)


def test_page_when_a_camera_with_a_model_of_its_own_is_copied_then_it_has_one(tmp_path):
    path = tmp_path / "agent.toml"
    path.write_text(re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)[1])

    config = load_config(path, {})

    assert [name for name, camera in config.cameras.items() if camera.model is not None] == ["belt"]
    assert config.sessions == 2


def test_page_when_its_camera_is_copied_then_it_gives_pictures():
    space: dict = {}
    exec(re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)[1], space)  # noqa: S102 - that is what a reader does

    camera = space["open_grey"](opening("pattern"))
    assert camera.grab() is not None
    assert camera.retrieve().mean() == 128
    camera.close()


def test_page_when_it_names_figures_then_they_are_the_recorded_ones():
    rows = json.loads((ROOT / "benchmarks" / "results" / "sharedmemory.json").read_text())["rows"]
    found = {row["what"]: row["p50"] for row in rows}

    assert f"**{found['added by the process, ms']:.1f} ms**" in PAGE
    share = float(found["a core's share of a gated 1080p30 camera, agent's side"].split()[0])
    assert f"was {share:.1f} % of a\ncore" in PAGE

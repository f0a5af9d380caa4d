"""The discovery document against the documented schema, and by Home Assistant's own code where that is installed.

    make homeassistant

installs Home Assistant beside this repository and runs this file with TEST_HOMEASSISTANT naming its Python, so that
the last test has the code of Home Assistant itself read the document.
"""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from edge.homeassistant.discovery import Seen, discovery, discovery_topic, status_topic

BARE = {"PATH": os.environ.get("PATH", "")}
"""Another Python's environment: not the path of this one's packages."""

ENTITIES = {
    "sensor": {"state_topic"},
    "binary_sensor": {"state_topic"},
    "switch": {"command_topic", "state_topic"},
    "camera": {"topic"},
    "image": {"image_topic"},
    "update": {"state_topic"},
}


def document(**more):
    cameras = {
        "gate": Seen({"person": "person", "traffic_light": "traffic light"}, zones=("drive",), switches=("detect", "snapshots"), snapshots=True),
        "yard": Seen({"person": "person"}),
    }  # fmt: skip
    given = {
        "root": "edge",
        "node": "n1",
        "version": "1.2.3",
        "model": {"name": "ssd"},
        "hardware": None,
        "cameras": cameras,
    }
    return discovery(**{**given, **more})


def test_document_when_made_then_has_what_the_documentation_requires():
    found = document()
    assert found["device"]["identifiers"]
    assert found["origin"]["name"] == "gluon-edge"
    ids = [c["unique_id"] for c in found["components"].values()]
    assert len(set(ids)) == len(ids)
    for key, component in found["components"].items():
        assert re.fullmatch(r"[a-zA-Z0-9_-]+", key)
        assert ENTITIES[component["platform"]] <= component.keys()
        for name, topic in component.items():
            if name.endswith("_topic"):
                assert topic.startswith("edge/n1/")
                assert not set(topic) & set("+#\0")
    assert discovery_topic("homeassistant", "n1") == "homeassistant/device/n1/config"
    assert status_topic("homeassistant") == "homeassistant/status"


def test_document_when_there_are_counts_zones_switches_and_pictures_then_each_has_its_entity():
    components = document()["components"]
    assert components["gate_person_count"]["state_topic"] == "edge/n1/gate/count/person"
    assert components["gate_zone_drive_traffic_light"]["state_topic"] == "edge/n1/gate/zone/drive/count/traffic_light"
    assert components["gate_zone_drive_traffic_light"]["name"] == "gate drive traffic light"
    assert components["gate_detect_switch"]["command_topic"] == "edge/n1/gate/detect/set"
    assert components["gate_person_image"]["image_topic"] == "edge/n1/gate/snapshot/person"
    assert components["model"]["platform"] == "update"
    assert "yard_detect_switch" not in components


def test_document_when_there_are_many_labels_then_it_still_fits_into_one_message():
    labels = {f"label_{i}": f"label {i}" for i in range(80)}
    cameras = {f"camera{i}": Seen(labels, switches=("detect",)) for i in range(4)}
    found = json.dumps(document(cameras=cameras), separators=(",", ":")).encode()
    assert len(found) < 128 * 1024 - 256
    assert b"camera3_label_30" in found


def test_document_when_home_assistants_own_code_reads_it_then_every_entity_is_accepted(tmp_path):
    python = os.environ.get("TEST_HOMEASSISTANT")
    if not python:
        pytest.skip("TEST_HOMEASSISTANT names no Python with Home Assistant")
    path = tmp_path / "document.json"
    path.write_text(json.dumps(document()))
    script = Path(__file__).with_name("homeassistant_own.py")
    done = subprocess.run([python, script, path], capture_output=True, text=True, check=False, cwd=tmp_path, env=BARE)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["accepted"] == len(document()["components"])
    assert not [w for w in found["warnings"] if "mqtt" in w.lower() or "discovery" in w.lower()]
    if record := os.environ.get("TEST_HOMEASSISTANT_RECORD"):
        Path(record).write_text(json.dumps({"command": "make homeassistant", **found}, indent=2) + "\n")

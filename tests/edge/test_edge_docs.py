"""The documents say what the code does: every key, every schema, and examples that load."""

import json
import re
from importlib.resources import files
from pathlib import Path

import pytest
from pydantic import BaseModel

from edge.config import CameraConfig, Config, MotionConfig
from edge.config.file import load_config
from edge.reporting.payloads import SCHEMAS

DOCS = Path(__file__).resolve().parents[2] / "docs"
CONFIGURATION = (DOCS / "configuration.md").read_text()
MQTT = (DOCS / "mqtt.md").read_text()


def sections():
    yield "motion", MotionConfig
    for name, field in Config.model_fields.items():
        model = CameraConfig if name == "cameras" else field.annotation
        if isinstance(model, type) and issubclass(model, BaseModel):
            yield name, model


def test_configuration_when_an_example_is_copied_then_it_loads(tmp_path):
    for i, example in enumerate(re.findall(r"```toml\n(.*?)```", CONFIGURATION, re.DOTALL)):
        path = tmp_path / f"{i}.toml"
        path.write_text(example)
        assert load_config(path, {}).cameras


def test_configuration_when_variables_are_copied_then_they_are_taken(tmp_path):
    path = tmp_path / "agent.toml"
    path.write_text('[model]\nbundle = "b"\n[cameras.door]\nsource = 0\n')
    lines = re.findall(r"^(GLUON_EDGE_\w+)='?(.*?)'?$", CONFIGURATION, re.MULTILINE)

    config = load_config(path, dict(lines))

    assert (config.mqtt.node, config.events.labels) == ("shed", ("person",))


@pytest.mark.parametrize(("section", "model"), [*sections()], ids=lambda x: x if isinstance(x, str) else "")
def test_configuration_when_a_key_exists_then_it_is_documented(section, model):
    missing = [
        key
        for key in model.model_fields
        if f"`{key}`" not in CONFIGURATION and f"`{section}.{key}`" not in CONFIGURATION
    ]
    assert not missing


def test_mqtt_when_a_schema_exists_then_it_is_documented():
    for schema in SCHEMAS:
        assert f"`{schema}`" in MQTT


def test_mqtt_when_the_document_names_an_event_field_then_the_schema_has_it():
    schema = json.loads((files("edge") / "schemas" / "event-1.0.json").read_text())
    known = set(re.findall(r'"(\w+)":', json.dumps(schema)))
    for field in (
        "id",
        "seq",
        "boot_id",
        "captured_at",
        "mono_ns",
        "clock",
        "sent_at",
        "replayed",
        "track_id",
        "top_score",
    ):
        assert f"`{field}`" in MQTT
        assert field in known

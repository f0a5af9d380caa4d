"""The configuration: what is accepted, and the line that a person gets when it is not."""

import json
import re

import pytest

from edge.config import Config, broker_address, node_from_host
from edge.config.file import check_config, load_config, show_config
from edge.errors import ConfigError

GOOD = """
[model]
bundle = "ssd.zip"
[cameras.door]
source = "video.avi"
[mqtt]
node = "kerb-1"
"""


def write(tmp_path, text):
    path = tmp_path / "agent.toml"
    path.write_text(text)
    return path


def test_load_when_little_is_given_then_defaults_and_paths_from_the_files_folder(tmp_path):
    config = load_config(write(tmp_path, GOOD), {})

    assert config.model.bundle == tmp_path / "ssd.zip"
    assert config.cameras["door"].source == str(tmp_path / "video.avi")
    assert config.cameras["door"].inferred_kind == "video"
    assert config.mqtt.broker == "mqtt://localhost:1883"
    assert config.transport == "mqtt"


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("source", "sorce", "cameras.door.sorce: unknown key; did you mean 'source'?"),
        ("[mqtt]", "[mqt]", "mqt: unknown key; did you mean 'mqtt'?"),
        ('node = "kerb-1"', 'nod = "kerb-1"', "mqtt.nod: unknown key; did you mean 'node'?"),
        ('node = "kerb-1"', 'xyzzy = "kerb-1"', "mqtt.xyzzy: unknown key; one of alpn, broker, ca_file, "),
        ("[cameras.door]", "[cameras.Door]", "cameras.Door: names are 1 to 64 of a-z, 0-9, _ and -"),
        ("[cameras.door]", "[cameras.status]", "cameras: 'status' is a topic of the node itself"),
        ('source = "video.avi"', "fps = 5", "cameras.door.source: is missing"),
        ('source = "video.avi"', "source = true", "cameras.door.source: input should be a valid integer"),
        ('source = "video.avi"', 'source = "v.avi"\nfps = 0', "cameras.door.fps: input should be greater than 0"),
        ('source = "video.avi"', 'source = "ftp://x/y"', "cameras.door: a camera URL starts with one of http, "),
        ('source = "video.avi"', 'source = "v.avi"\nkind = "url"', "cameras.door: kind 'url' needs a source such as"),
        ('source = "video.avi"', "source = 0\nloop = true", "cameras.door: pace, loop and start_s are for files"),
        ('source = "video.avi"', 'source = "v"\npace = "fast"\nfps = 3', "cameras.door: pace 'fast' uses every frame"),
        ('source = "video.avi"', 'source = "v"\nwidth = 640', "cameras.door: width and height are for cameras"),
        ('node = "kerb-1"', 'broker = "localhost"', "mqtt.broker: a broker looks like mqtt://host:1883"),
        ('node = "kerb-1"', 'broker = "mqtt://u:p@h"', "mqtt.broker: credentials do not belong in the URL"),
        ('node = "kerb-1"', 'password_file = "p"', "mqtt: password_file needs a username"),
        (
            'bundle = "ssd.zip"',
            'bundle = "s"\nthreshold = 2',
            "model.threshold: input should be less than or equal to 1",
        ),
        ('bundle = "ssd.zip"', 'bundle = "s"\nthreshold = nan', "model.threshold: input should be"),
        ('bundle = "ssd.zip"', 'bundle = "s"\nproviders = ["gpu"]', "model.providers.0: input should be 'cpu', "),
        ("[model]", "[model", "is not TOML: "),
    ],
)
def test_load_when_a_key_is_wrong_then_one_line_names_it(tmp_path, before, after, message):
    path = write(tmp_path, GOOD.replace(before, after, 1))

    with pytest.raises(ConfigError) as e:
        load_config(path, {})

    assert str(e.value).startswith(f"{path}: {message}")
    assert "\n" not in str(e.value)


def test_load_when_the_file_is_not_there_then_the_line_says_so(tmp_path):
    with pytest.raises(ConfigError, match=r"nope\.toml: no such file; "):
        load_config(tmp_path / "nope.toml", {})


def test_check_when_much_is_wrong_then_each_has_a_line(tmp_path):
    text = GOOD.replace("source", "sorce").replace("bundle", "bundel")

    problems = check_config(write(tmp_path, text), {})

    assert len(problems) == 4, "two misspelt, two therefore missing"
    assert [("unknown key" in p) for p in problems] == [True, True, False, False]


def test_load_when_the_environment_sets_keys_then_they_win(tmp_path):
    env = {
        "GLUON_EDGE_MQTT__NODE": "shed",
        "GLUON_EDGE_CAMERAS__DOOR__SOURCE": "0",
        "GLUON_EDGE_EVENTS__LABELS": '["person", "car"]',
        "GLUON_EDGE_EVENTS__COUNTS": "false",
        "GLUON_EDGE_TRANSPORT": "stdout",
        "HOME": "/somewhere",
    }

    config = load_config(write(tmp_path, GOOD), env)

    assert config.mqtt.node == "shed"
    assert config.cameras["door"].source == 0
    assert config.cameras["door"].inferred_kind == "v4l2"
    assert config.events.labels == ("person", "car")
    assert config.events.counts is False
    assert config.transport == "stdout"


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("GLUON_EDGE_MQTT__NOD", "x", "GLUON_EDGE_MQTT__NOD: unknown key; did you mean 'node'?"),
        ("GLUON_EDGE_MODEL__THRESHOLD", "7", "GLUON_EDGE_MODEL__THRESHOLD: input should be less"),
        ("GLUON_EDGE_MODEL__BUNDLE__X", "7", "GLUON_EDGE_MODEL__BUNDLE__X: names no key"),
        ("GLUON_EDGE_", "7", "GLUON_EDGE_: names no key"),
    ],
)
def test_load_when_a_variable_is_wrong_then_the_line_names_it(tmp_path, variable, value, message):
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}"):
        load_config(write(tmp_path, GOOD), {variable: value})


def test_load_when_everyone_may_read_a_password_in_a_url_then_it_is_refused(tmp_path):
    path = write(tmp_path, GOOD.replace("video.avi", "rtsp://me:hunter2@cam/1"))
    path.chmod(0o644)

    with pytest.raises(ConfigError, match=r"cameras\.door\.source: holds a password and everyone may read") as e:
        load_config(path, {})

    assert "hunter2" not in str(e.value)
    path.chmod(0o640)
    assert "hunter2" not in show_config(load_config(path, {}))


def test_show_when_loaded_again_then_it_is_the_same(tmp_path):
    config = load_config(write(tmp_path, GOOD), {})

    again = load_config(write(tmp_path, show_config(config)), {})

    assert again == config


def test_schema_when_asked_then_it_describes_every_section():
    schema = Config.model_json_schema()

    assert set(schema["properties"]) == set(Config.model_fields)
    json.dumps(schema)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("mqtt://h", ("h", 1883, False)),
        ("mqtts://h", ("h", 8883, True)),
        ("mqtt://[::1]:99", ("::1", 99, False)),
        ("mqtts://broker.example:443/", ("broker.example", 443, True)),
    ],
)
def test_broker_address_when_a_url_is_right_then_host_port_and_tls(url, address):
    assert broker_address(url)[:3] == address


def test_broker_address_when_it_is_a_websocket_then_it_has_a_path():
    assert broker_address("wss://broker.example") == ("broker.example", 443, True, "/mqtt")
    assert broker_address("ws://h:8083/here") == ("h", 8083, False, "/here")


@pytest.mark.parametrize(
    "url", ["", "h", "http://h", "mqtt://", "mqtt://h:x", "mqtt://h:0", "mqtt://h/x", "mqtt://[::1"]
)
def test_broker_address_when_a_url_is_wrong_then_it_says_how_one_looks(url):
    with pytest.raises(ValueError, match="mqtt://host:1883"):
        broker_address(url)


@pytest.mark.parametrize(
    ("host", "node"), [("Kerb-1.local", "kerb-1"), ("a b", "a-b"), ("", "node"), ("x" * 99, "x" * 64)]
)
def test_node_from_host_when_a_host_has_any_name_then_it_is_a_legal_level(host, node):
    assert node_from_host(host) == node

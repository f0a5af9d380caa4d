"""The agent's configuration from a component, and what the nucleus is told: against the double's two kinds."""

import contextlib
import queue
import signal

import pytest
from greengrass_double import LITE
from greengrass_double.limits import as_text
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.aws.coerce import coerced
from edge.aws.component import Component, component_config
from edge.config import Config
from edge.config.file import config_of
from edge.errors import ConfigError
from edge.transports.component import ComponentAddress

GOOD = {
    "model": {"bundle": "../com.example.Model/bundle.zip", "threshold": 0.5, "threads": 2},
    "cameras": {"door": {"source": 0, "enabled": True, "fps": 7.5}},
    "events": {"labels": ["person", "1"], "hold_s": 2},
    "mqtt": {"node": "kerb-1"},
    "accessControl": {"aws.greengrass.ipc.mqttproxy": {}},
}


def config_without_access(data):
    return {k: v for k, v in data.items() if k != "accessControl"}


def test_config_when_every_scalar_came_as_text_then_it_is_the_same_as_typed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    typed, text = component_config(GOOD), component_config(as_text(GOOD))

    assert typed == text
    assert typed.cameras["door"].source == 0
    assert typed.events.labels == ("person", "1")
    assert typed.model.bundle == tmp_path.parent / "com.example.Model" / "bundle.zip"
    assert typed.transport == "greengrass"
    assert typed.state_dir == tmp_path / "state"


@pytest.mark.parametrize(
    ("text", "expected"),
    [('["person", "car"]', ("person", "car")), ("[]", ()), ('["1", "true"]', ("1", "true"))],
)
def test_config_when_a_list_came_as_its_json_then_it_is_read(text, expected):
    assert component_config({**GOOD, "events": {"labels": text}}).events.labels == expected


@pytest.mark.parametrize(("text", "expected"), [("", None), ("null", None), ("0.25", 0.25), ("1", 1.0)])
def test_config_when_an_optional_number_came_as_text_then_it_is_read_or_unset(text, expected):
    assert component_config({**GOOD, "model": {"bundle": "b.zip", "threshold": text}}).model.threshold == expected


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model": {"bundle": "b.zip", "threshold": "1.5"}}, "model.threshold"),
        ({"cameras": {"door": {"source": "0", "enabled": "perhaps"}}}, "cameras.door.enabled"),
        ({"cameras": {"door": {"sorce": "0"}}}, "did you mean 'source'?"),
        ({"events": {"labels": "[person"}}, "events.labels"),
        ({"PublishResultsOnTopic": "ml/dlr/object-detection"}, "PublishResultsOnTopic: unknown key"),
    ],
)
def test_config_when_a_value_is_wrong_then_the_error_names_its_key(change, said):
    with pytest.raises(ConfigError, match="the component's configuration: ") as e:
        component_config({**GOOD, **change})

    assert said in str(e.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.dictionaries(st.sampled_from([*Config.model_fields, "accessControl", "x"]), JSON, max_size=6))
def test_config_when_it_is_anything_then_it_is_read_or_refused_in_words(data):
    with contextlib.suppress(ConfigError):
        assert isinstance(component_config(data), Config)


def test_coerced_when_nothing_is_text_then_nothing_changes(tmp_path):
    config = config_of(config_without_access(GOOD), "test", folder=tmp_path)
    plain = config.model_dump(mode="json")

    assert coerced(plain, Config) == plain


@pytest.fixture
def component(double, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    double.config = GOOD
    made = Component(ComponentAddress.from_environment(double.env))
    told = queue.SimpleQueue()
    yield made, told
    made.close()


def test_component_when_a_deployment_changes_its_configuration_then_it_is_read_again_once(double, component):
    made, told = component
    assert made.config().events.hold_s == 2
    made.attach(told.put)

    double.deploy({"events": {"hold_s": 5.5, "cooldown_s": 3}, "cameras": {"yard": {"source": 1}}})

    assert told.get(timeout=30) == signal.SIGHUP
    config = made.config()
    assert (config.events.hold_s, config.events.cooldown_s, sorted(config.cameras)) == (5.5, 3, ["door", "yard"])
    with pytest.raises(queue.Empty):
        told.get(timeout=0.6)


def test_component_when_a_deployment_is_wrong_then_classic_rejects_it_and_lite_keeps_the_last_good_one(
    double, component
):
    made, told = component
    before = made.config()
    made.attach(told.put)

    double.deploy({"events": {"hold_s": "long"}})

    if double.kind is LITE:
        told.get(timeout=30)
        with pytest.raises(ConfigError, match=r"events.hold_s"):
            made.config()
    else:
        assert double.errors["rejected deployment"] == 1
        assert made.config() == before
    double.deploy({"events": {"hold_s": 3}})
    assert told.get(timeout=30) == signal.SIGHUP
    assert made.config().events.hold_s == 3


def test_component_when_the_nucleus_restarts_then_it_connects_again_and_reads_what_it_missed(
    double, component, monkeypatch
):
    monkeypatch.setattr("edge.aws.component._LOOK_EVERY_S", 0.05)
    made, told = component
    made.config()
    made.attach(told.put)

    double.stop()
    double.config = {**GOOD, "events": {"hold_s": 9}}
    double.start()

    assert told.get(timeout=30) == signal.SIGHUP
    assert made.config().events.hold_s == 9


def test_component_when_another_version_of_the_model_is_deployed_then_it_is_read_again(
    double, component, monkeypatch, tmp_path
):
    monkeypatch.setattr("edge.aws.component._LOOK_EVERY_S", 0.05)
    for version in ("1.0.0", "1.1.0"):
        (tmp_path / f"{version}.zip").write_bytes(b"bundle")
    link = tmp_path / "bundle.zip"
    link.symlink_to(tmp_path / "1.0.0.zip")
    double.config = {**GOOD, "model": {"bundle": "bundle.zip"}}
    made, told = component
    before = made.config()
    made.attach(told.put)

    fresh = tmp_path / "fresh"
    fresh.symlink_to(tmp_path / "1.1.0.zip")
    fresh.replace(link)

    assert told.get(timeout=30) == signal.SIGHUP
    assert made.config().model.bundle.name == "1.1.0.zip"
    assert before.model.bundle.name == "1.0.0.zip"
    with pytest.raises(queue.Empty):
        told.get(timeout=0.3)


def test_component_when_work_goes_on_then_running_is_told_once(double, component):
    made, told = component
    made.config()
    made.attach(told.put)
    made.ready("")
    assert double.states == []

    for _ in range(3):
        made.alive()

    assert double.states == ["RUNNING"]


def test_component_when_its_token_is_dead_then_it_says_why_it_ends(double, component, monkeypatch):
    monkeypatch.setattr("edge.aws.component._LOOK_EVERY_S", 0.02)
    made, told = component
    made.config()
    made.attach(told.put)

    double.stop(forget_tokens=True)
    double.start()

    assert "SVCUID" in told.get(timeout=30)


def test_component_when_there_is_no_nucleus_then_it_says_what_is_missing(monkeypatch):
    for name in ("AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT", "SVCUID"):
        monkeypatch.delenv(name, raising=False)

    with pytest.raises(ConfigError, match="inside a Greengrass component only"):
        Component()


def test_node_when_inside_a_component_then_it_has_the_things_name(monkeypatch):
    monkeypatch.setenv("AWS_IOT_THING_NAME", "Kerb-1")
    assert component_config({k: v for k, v in GOOD.items() if k != "mqtt"}).mqtt.node == "kerb-1"

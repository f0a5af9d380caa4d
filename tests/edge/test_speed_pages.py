"""docs/tuning.md, providers.md and performance.md: their commands parse, their configuration loads, their benchmarks exist."""

import re
import shlex
from pathlib import Path

import pytest

from benchmarks.__main__ import FIGURES
from edge.cli import _parser
from edge.config.file import load_config
from edge.runtimes import RUNTIMES

DOCS = Path(__file__).resolve().parents[2] / "docs"
TUNING, PROVIDERS, PERFORMANCE = ((DOCS / f"{name}.md").read_text() for name in ("tuning", "providers", "performance"))
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", TUNING, re.DOTALL) for line in block.splitlines()]


@pytest.mark.parametrize("command", COMMANDS)
def test_tuning_when_a_command_is_copied_then_it_is_one(command):
    program, *words = shlex.split(command)
    assert program == "gluon-edge"
    assert _parser().parse_args(words)


def test_tuning_when_an_option_is_named_then_tune_has_it():
    options = re.findall(r"`(--[a-z-]+)(?: ([0-9]+))?`", TUNING)
    for option, value in options:
        if option != "--json":
            _parser().parse_args(["tune", "b", option, value or "1"])
    assert {"--seconds", "--latency-ms", "--cpu-ms"} <= {option for option, _ in options}


def test_providers_when_its_configuration_is_copied_then_it_loads(tmp_path):
    path = tmp_path / "agent.toml"
    path.write_text(re.search(r"```toml\n(.*?)```", PROVIDERS, re.DOTALL)[1] + '[cameras.door]\nsource = "pattern"\n')
    assert load_config(path, {}).model.providers == ("tensorrt", "cuda")


def test_providers_when_one_exists_then_the_table_says_whether_it_was_tried():
    assert set(re.findall(r"^\| `([a-z]+)` \|", PROVIDERS, re.MULTILINE)) == set(RUNTIMES)


def test_performance_when_a_benchmark_is_named_then_there_is_one():
    table = PERFORMANCE.split("<!-- tables -->")[0]
    named = re.findall(r"\| `([a-z]+)` \|$", table, re.MULTILINE)
    assert len(named) >= 6
    assert set(named) <= set(FIGURES)

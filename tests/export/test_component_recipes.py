"""Recipes and the linter: ours pass with room, and each limit of either nucleus is found in a recipe that breaks it."""

import copy
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import bundles
import pytest
import yaml
from greengrass_double.limits import items
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from street import ROOT

from edge.bundle.bundle import read_bundle
from export.cli import main
from export.component.access import access_control
from export.component.lint import LITE_BYTES, LITE_ITEMS, RecipeError, lint, read_recipe
from export.component.recipe import AgentComponent, Artifact, ModelComponent, agent_recipe, as_yaml, model_recipe
from export.component.vocabulary import count_items

NAME = "com.example.GluonEdge"


def artifact(file, component, version, *, unpack):
    return Artifact(Path("nowhere") / file, f"s3://BUCKET_NAME/{component}/{version}/{file}", unpack)


def shipped_agent():
    artifacts = {
        architecture: artifact(f"gluon-edge-{architecture}.zip", NAME, "0.1.0", unpack=True)
        for architecture in ("aarch64", "amd64")
    }
    defaults = {"cameras": {"camera": {"source": 0}}}
    return agent_recipe(AgentComponent(NAME, "0.1.0", "you", artifacts, f"{NAME}Model", "1.0.0", defaults))


def shipped_model():
    bundle = artifact("street_ssd.zip", f"{NAME}Model", "1.0.0", unpack=False)
    return model_recipe(ModelComponent(f"{NAME}Model", "1.0.0", "you", "A bundle made by gluon-export", bundle))


def checked(recipe, **how):
    text = as_yaml(recipe)
    return lint(yaml.safe_load(text), len(text.encode()), **how)


def codes(recipe, **how):
    return {f.code for f in checked(recipe, **how)}


@pytest.mark.parametrize("which", ["agent", "model"])
def test_recipe_when_it_is_the_one_that_is_shipped_then_it_is_what_the_code_makes(which):
    made = as_yaml({"agent": shipped_agent, "model": shipped_model}[which]())

    assert (ROOT / "greengrass" / which / "recipe.yaml").read_text() == made


@pytest.mark.parametrize("which", ["agent", "model"])
def test_recipe_when_it_is_shipped_then_the_linter_finds_nothing_and_there_is_room(which, capsys):
    path = ROOT / "greengrass" / which / "recipe.yaml"

    assert main(["component", "lint", "--strict", "--json", str(path)]) == 0

    [told] = json.loads(capsys.readouterr().out)
    assert told["findings"] == []
    assert told["bytes"] < 6 * 1024
    assert told["objects"] < 150
    recipe, _ = read_recipe(path)
    assert told["objects"] == items(recipe), "counted as the double of the lite nucleus counts"


@pytest.mark.parametrize("which", ["agent", "model"])
def test_gdk_config_when_read_then_it_builds_the_recipe_of_that_component(which):
    config = json.loads((ROOT / "greengrass" / which / "gdk-config.json").read_text())
    recipe, _ = read_recipe(ROOT / "greengrass" / which / "recipe.yaml")
    [(name, component)] = config["component"].items()

    assert (name, component["version"]) == (recipe["ComponentName"], recipe["ComponentVersion"])
    words = component["build"]["custom_build_command"]
    from export.cli import _parser

    assert _parser().parse_args(words[1:]).gdk == which


@pytest.mark.parametrize("destination", ["iot-core", "local"])
def test_access_when_made_then_it_names_topics_of_this_thing_only(destination):
    access = access_control(NAME, destination=destination, aws_ml_topic="ml/onnx/object-detection")

    resources = [r for service in access.values() for policy in service.values() for r in policy["resources"]]
    for resource in resources:
        assert "{iot:thingName}" in resource or resource == "ml/onnx/object-detection"
        assert not resource.endswith(("#", "/*/*/*"))
        assert resource.replace("{iot:thingName}", "t").count("/") <= 7


def broken(path, value):
    recipe = copy.deepcopy(shipped_agent())
    at = recipe
    for key in path[:-1]:
        at = at[key]
    if value is None:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return recipe


FIRST = ("Manifests", 0)
RUN = (*FIRST, "Lifecycle")


@pytest.mark.parametrize(
    ("path", "value", "code"),
    [
        (("RecipeFormatVersion",), None, "format"),
        (("RecipeFormatVersion",), "2021-01-01", "format"),
        (("ComponentName",), "has spaces", "head"),
        (("ComponentVersion",), "1.0", "head"),
        (("ComponentType",), "aws.greengrass.lambda", "type"),
        (("componentDescription",), "x", "case"),
        (("Manifests",), [], "manifests"),
        (("Manifests",), "none", "manifests"),
        ((*FIRST, "Platform", "runtime"), None, "runtime"),
        ((*FIRST, "Platform", "runtime"), "classic", "runtime"),
        ((*RUN, "run"), {"Script": "true"}, "run-and-startup"),
        ((*RUN, "Install"), {"Script": "true"}, "case"),
        ((*RUN, "startup", "Script"), "echo ${HOME}", "braces"),
        ((*RUN, "startup", "Script"), "awk '{print $1}'", "braces"),
        ((*RUN, "startup", "Script"), "echo '{\"a\": 1}'", "braces"),
        ((*RUN, "startup", "Script"), "echo {com.example.Model:artifacts:path}", "variable-lite"),
        ((*RUN, "startup", "Skipif"), "onpath x", "skipif-lite"),
        ((*RUN, "startup", "script"), "x", "case-step"),
        ((*FIRST, "Lifecycle"), {}, "lifecycle"),
        ((*FIRST, "Artifacts", 0, "Unarchive"), "zip", "artifact"),
        ((*FIRST, "Artifacts", 0, "Uri"), None, "artifact"),
    ],
)
def test_lint_when_a_recipe_breaks_a_limit_then_it_is_an_error_with_its_place(path, value, code):
    found = [f for f in checked(broken(path, value)) if f.code == code]

    assert found
    assert all(f.severity == "error" for f in found)


@pytest.mark.parametrize(
    ("path", "value", "code"),
    [
        ((*RUN, "shutdown"), {"Script": "true"}, "phase-lite"),
        ((*RUN, "install", "RequiresPrivilege"), True, "privilege"),
        ((*RUN, "install", "Script"), "sudo make me a sandwich", "privilege"),
        ((*RUN, "install", "Script"), "pip install gluon-edge", "network"),
        ((*RUN, "install", "Script"), "curl -O https://example.com/x", "network"),
        (("Surprise",), 1, "unknown-key"),
        ((*FIRST, "Platform"), {"os": "linux", "runtime": "*"}, "order"),
    ],
)
def test_lint_when_a_recipe_has_a_habit_that_bites_then_it_is_a_warning(path, value, code):
    found = [f for f in checked(broken(path, value)) if f.code == code]

    assert found
    assert all(f.severity == "warning" for f in found)


def policy(**change):
    recipe = shipped_agent()
    access = recipe["ComponentConfiguration"]["DefaultConfiguration"]["accessControl"]
    access["aws.greengrass.ipc.mqttproxy"][f"{NAME}:mqttproxy:1"] |= change
    return recipe


@pytest.mark.parametrize("change", [{"resources": ["*"]}, {"resources": ["#"]}, {"operations": ["*"]}])
def test_lint_when_everything_is_granted_then_it_is_an_error(change):
    assert "wildcard" in codes(policy(**change))


@pytest.mark.parametrize("change", [{"resources": []}, {"operations": None}])
def test_lint_when_a_policy_is_empty_then_it_is_an_error(change):
    assert "access" in codes(policy(**change))


def test_lint_when_a_recipe_grows_then_first_lite_and_then_the_cloud_refuses_it():
    recipe = shipped_agent()
    recipe["ComponentDescription"] = "x" * LITE_BYTES
    assert codes(recipe) == {"size-lite"}
    assert codes(recipe, nucleus="classic") == set()
    recipe["ComponentDescription"] = "x" * 16_000
    assert codes(recipe) == {"size", "size-lite"}


def test_lint_when_a_recipe_has_too_many_objects_then_lite_refuses_it():
    recipe = shipped_agent()
    room = (LITE_ITEMS - count_items(recipe)) // 2
    defaults = recipe["ComponentConfiguration"]["DefaultConfiguration"]
    defaults |= {f"k{i}": "v" for i in range(room)}
    assert codes(recipe) == set()
    defaults["one"] = "more"
    assert codes(recipe) == {"items-lite"}


@pytest.mark.parametrize(
    ("text", "said"),
    [("- a\n- b\n", "no mapping"), ("a: [", "neither YAML nor JSON"), ("a: &x 1\nb: *x\n", "alias"), ("\0", "neither")],
)
def test_read_when_it_is_no_recipe_then_the_error_says_so(tmp_path, text, said, capsys):
    path = tmp_path / "r.yaml"
    path.write_text(text)

    with pytest.raises(RecipeError, match=said):
        read_recipe(path)
    assert main(["component", "lint", str(path)]) == 1
    assert "Traceback" not in capsys.readouterr().err


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=10,
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.dictionaries(st.sampled_from(list(shipped_agent())), JSON, max_size=5))
def test_lint_when_given_anything_then_it_never_fails(data):
    assert isinstance(lint({**shipped_agent(), **data}, 1000), list)


@pytest.fixture(scope="module")
def tiny_wheels(tmp_path_factory):
    """A wheel named like ours that needs nothing: what is tried is the recipe, pip and venv, not the agent."""
    folder = tmp_path_factory.mktemp("wheels")
    info = "gluon_edge-0.0.1.dist-info"
    extras = "".join(f"Provides-Extra: {e}\n" for e in ("cpu", "greengrass", "signing"))
    files = {
        "gluon_edge_said.py": "def main():\n    print('it runs')\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: gluon-edge\nVersion: 0.0.1\n{extras}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "[console_scripts]\ngluon-edge = gluon_edge_said:main\n",
    }
    with zipfile.ZipFile(folder / "gluon_edge-0.0.1-py3-none-any.whl", "w") as wheel:
        for name, text in files.items():
            wheel.writestr(name, text)
        record = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
        wheel.writestr(f"{info}/RECORD", record)
    return folder


def test_build_when_its_scripts_run_as_a_nucleus_runs_them_then_the_agent_starts_without_a_network(
    tmp_path, tiny_wheels, capsys
):
    bundle = bundles.detection_bundle(tmp_path / "det")
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    words = ["component", "build", str(bundle), "--wheels", str(tiny_wheels), "--python", version, "--arch", "amd64"]
    assert main([*words, "-o", str(tmp_path / "out"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["findings"] == []

    root = tmp_path / "greengrass"
    agent, model = (yaml.safe_load(Path(p).read_text()) for p in told["recipes"])
    artifacts = {Path(p).name: Path(p) for p in told["artifacts"]}

    def step(recipe, phase):
        """What a nucleus does: artifacts into their folders, variables put in, `sh` in the work folder."""
        name = recipe["ComponentName"]
        work, unpacked = root / "work" / name, root / "unarchived" / name
        work.mkdir(parents=True, exist_ok=True)
        [entry] = recipe["Manifests"][0]["Artifacts"]
        path = artifacts[entry["Uri"].rsplit("/", 1)[1]]
        if entry["Unarchive"] == "ZIP":
            zipfile.ZipFile(path).extractall(unpacked / path.stem)
        script = recipe["Manifests"][0]["Lifecycle"][phase]["Script"]
        for variable, value in (
            ("artifacts:path", path.parent), ("artifacts:decompressedPath", unpacked), ("work:path", work),
        ):  # fmt: skip
            script = script.replace("{" + variable + "}", str(value))
        assert "{" not in script
        return subprocess.run(["sh", "-c", script], cwd=work, capture_output=True, text=True, check=False)

    assert step(model, "install").returncode == 0
    work = root / "work" / agent["ComponentName"]
    done = step(agent, "install")
    assert done.returncode == 0, done.stderr
    bundle_zip = work / agent["ComponentConfiguration"]["DefaultConfiguration"]["model"]["bundle"]
    assert read_bundle(bundle_zip).digest == read_bundle(bundle).digest
    made = (work / "venv" / "pyvenv.cfg").stat().st_mtime_ns
    assert step(agent, "install").returncode == 0
    assert (work / "venv" / "pyvenv.cfg").stat().st_mtime_ns == made, "it runs at every start, and must be quick then"
    assert step(agent, "startup").stdout == "it runs\n"
    check = next((root / "unarchived").rglob("check.py"))
    check.write_text(check.read_text().replace(version, "2.7"))
    done = subprocess.run([sys.executable, check], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "built for Python 2.7" in done.stderr


def test_build_when_there_is_no_wheel_of_ours_then_it_says_how_to_make_one(tmp_path, capsys):
    bundle = bundles.detection_bundle(tmp_path / "det")
    (tmp_path / "none").mkdir()

    assert main(["component", "build", str(bundle), "--wheels", str(tmp_path / "none"), "-o", str(tmp_path / "o")]) == 1
    assert "pip wheel --no-deps" in capsys.readouterr().err

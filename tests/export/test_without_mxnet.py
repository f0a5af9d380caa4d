"""A saved model converts where MXNet cannot be imported: a real process in which every such import fails."""

import json
import subprocess
import sys

import pytest
from street import ROOT

_BLOCKED = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"mxnet", "gluoncv"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocker())
from export.cli import main
code = main(sys.argv[1:])
assert not {"mxnet", "gluoncv"} & set(sys.modules)
sys.exit(code)
"""


def _run(*arguments):
    return subprocess.run(
        [sys.executable, "-c", _BLOCKED, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
        check=False,
    )


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    out = tmp_path_factory.mktemp("without") / "bundle"
    street = ROOT / "examples" / "street_ssd"
    done = _run(
        "convert", "--symbol", street / "street_ssd-symbol.json", "--params", street / "street_ssd-0000.params",
        "--task", "detection", "--input", "288x384", "--labels", street / "labels.txt",
        "--mean", "0.485,0.456,0.406", "--std", "0.229,0.224,0.225", "-o", out, "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return out, json.loads(done.stdout)


def test_convert_when_mxnet_cannot_be_imported_then_a_saved_model_becomes_a_bundle(converted):
    out, document = converted
    assert (document["task"], document["precision"]) == ("detection", "fp32")
    assert (out / "model.onnx").is_file()


def test_verify_when_mxnet_cannot_be_imported_then_the_golden_sample_serves_and_it_says_so(converted):
    done = _run("verify", converted[0])
    assert done.returncode == 0, done.stderr
    assert "MXNet is not installed here" in done.stdout


def test_inspect_when_mxnet_cannot_be_imported_then_it_works(converted):
    done = _run("inspect", converted[0])
    assert done.returncode == 0, done.stderr


def test_list_when_mxnet_cannot_be_imported_then_the_zoo_is_listed():
    done = _run("zoo", "list", "--json")
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)) == 332


def test_convert_when_a_zoo_net_needs_mxnet_then_the_error_says_how_to_get_it(tmp_path):
    done = _run("convert", "mobilenet0.25", "--random", "1", "-o", tmp_path / "b")
    assert done.returncode == 1
    assert "pip install 'gluon-edge[zoo]'" in done.stderr
    assert "Traceback" not in done.stderr

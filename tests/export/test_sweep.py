"""The zoo's sweep: one net for real, limits that hold, results that survive a crash, a page that says what it counts."""

import json
import subprocess
import sys

from street import ROOT

from benchmarks import limits, sweep
from benchmarks.sweep_page import write_page

_EXACT = {
    "net": "a", "task": "classification", "status": "exact", "nodes": 3, "size_mb": 1.0, "convert_s": 0.5,
    "mxnet_ms": 3.0, "onnx_ms": 2.0, "error": {"scores": 1e-7}, "layers": None, "input": [32, 32], "form": "finished",
}  # fmt: skip
_DIFFERS = {**_EXACT, "net": "b", "status": "differs", "layers": {"node": "conv3", "op": "Convolution", "max_abs": 0.1}}


def test_sweep_when_a_net_is_run_then_its_row_tells_everything_and_is_not_run_again(tmp_path):
    state = tmp_path / "rows.jsonl"
    command = [
        sys.executable, "-m", "benchmarks.sweep", "--only", "cifar_resnet20_v1", "--only", "mobilenet1.0_int8",
        "--state", state, "--docs", tmp_path,
    ]  # fmt: skip
    for _ in range(2):
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=150, check=False)
        assert done.returncode == 0, done.stderr
    assert len(state.read_text().splitlines()) == 2
    rows = {row["net"]: row for row in json.loads((tmp_path / "zoo.json").read_text())["nets"]}
    row = rows["cifar_resnet20_v1"]
    assert row["status"] == "exact"
    assert row["layers"] is None
    assert min(row["nodes"], row["size_mb"], row["mxnet_ms"], row["onnx_ms"], row["convert_s"]) > 0
    assert rows["mobilenet1.0_int8"]["why"].startswith("pre-quantized")


def test_rows_when_a_line_was_cut_short_then_the_others_count(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(_EXACT) + "\n" + json.dumps({**_EXACT, "nodes": 4}) + '\n{"net": "b", "sta')
    assert sweep.read_rows(path) == {"a": {**_EXACT, "nodes": 4}}


def test_limits_when_a_net_takes_too_long_then_it_is_ended_and_its_row_says_where(tmp_path):
    running = limits.start("cifar_resnet20_v1", tmp_path, limits.Limits(seconds=0, memory_bytes=1 << 40))
    assert running.finished()
    row = running.row()
    assert row["status"] == "over limit"
    assert "took longer" in row["why"]


def test_limits_when_a_net_needs_too_much_memory_then_it_is_ended(tmp_path):
    running = limits.start("cifar_resnet20_v1", tmp_path, limits.Limits(seconds=60, memory_bytes=1))
    while not running.finished():
        pass
    assert "needed more than" in running.row()["why"]


def test_page_when_written_then_it_counts_by_result_and_names_the_first_wrong_layer(tmp_path):
    write_page({"b": _DIFFERS, "a": _EXACT}, tmp_path)
    page = (tmp_path / "zoo.md").read_text()
    assert "- **1** exact" in page
    assert "conv3 (Convolution)" in page
    assert page.index("| a |") < page.index("| b |")
    assert json.loads((tmp_path / "zoo.json").read_text())["counts"] == {"exact": 1, "differs": 1}

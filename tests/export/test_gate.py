import dataclasses
import importlib.util
from pathlib import Path

import numpy as np
import onnx
import pytest
from models import COLOURS, bundle_of, colour_net, colour_pictures, square_net, square_pictures
from onnx import numpy_helper

from edge.bundle.bundle import Bundle
from edge.results import Poses
from export import putback
from export.agreement import agree
from export.calibrate import images
from export.errors import ExportError
from export.gate import Accuracy, Verdict, _drawn, gate
from export.half import Halving, halving
from export.putback import Sensitivity, sensitivities
from export.quantize import Calibrated, calibrate, quantize, with_model
from export.quantizing import gate_text
from export.settle import halve, settle
from export.speed import Speed, measure_speed


@pytest.fixture
def squares(tmp_path: Path) -> tuple[Bundle, list[Path]]:
    square_pictures(tmp_path / "squares", 12)
    return bundle_of(square_net(), "detection", ("red", "green")), images(tmp_path / "squares")


@pytest.fixture
def colours(tmp_path: Path) -> tuple[Bundle, list[Path]]:
    return bundle_of(colour_net(), "classification", COLOURS), images(colour_pictures(tmp_path / "colours"))


def _blind(bundle: Bundle) -> Bundle:
    """The bundle with its largest weights zero: it says the same of every picture."""
    return with_model(bundle, _blinded(onnx.load_from_string(bundle.model)).SerializeToString())


def _blinded(model: onnx.ModelProto) -> onnx.ModelProto:
    for tensor in model.graph.initializer:
        if len(tensor.dims) == 4:
            zeros = np.zeros_like(numpy_helper.to_array(tensor))
            tensor.CopyFrom(numpy_helper.from_array(zeros, tensor.name))
    return model


def _verdict(drop: float, ratio: float) -> Verdict:
    accuracy = Accuracy("top1", 0.9, 0.9 - drop, 100, {})
    return Verdict(accuracy, Speed(10 * ratio, 10.0, "CPUExecutionProvider", 3), 0.27, 0.01, 1.0)


def test_verdict_when_accurate_and_faster_is_ok() -> None:
    verdict = _verdict(0.01, 2.5)
    assert verdict.ok
    document = verdict.to_json()
    assert (document["ok"], document["reasons"]) == (True, [])
    assert document["accuracy"] == {
        "measure": "top1", "float": 0.9, "quantized": 0.89, "drop": 0.01, "intervals_95": {}, "images": 100, "numbers": {},
    }  # fmt: skip
    assert document["latency_ms"] == {"float": 25, "quantized": 10, "ratio": 2.5}


def test_accuracy_of_few_answers_says_how_little_is_known() -> None:
    few, many = (Accuracy("same best class", 1.0, 1.0, n, {}, n).interval for n in (10, 1000))
    assert few == pytest.approx((0.722, 1), abs=1e-3)
    assert many == pytest.approx((0.996, 1), abs=1e-3)


def test_agreement_of_masks_and_of_joints_says_how_sure_it_is() -> None:
    """Pixels of a picture are no answers of their own: pictures are drawn anew; a person's joints count together."""
    shares = (1.0, 0.9, 0.8, 1.0, 0.95)
    low, high = _drawn(shares)["quantized"]
    assert min(shares) <= low < np.mean(shares) < high <= 1
    assert _drawn(shares)["drop"] == (1 - high, 1 - low)
    assert _drawn(shares[:2]) == {}
    joints = np.array([[[0, 0, 1], [100, 100, 1]]], np.float32)
    found = agree([Poses(joints)] * 9, [Poses(joints)] * 9)
    assert (found.value, found.trials) == (1.0, 9)


def test_verdict_when_it_does_not_hold_gives_each_reason() -> None:
    verdict = _verdict(0.0101, 0.9)
    assert not verdict.ok
    assert verdict.reasons == (
        "top1 fell from 0.9000 to 0.8899, by 0.0101; at most 0.01 may be lost",
        "not faster here: 10.00 ms against 9.00 ms in float (CPUExecutionProvider, one thread)",
    )
    assert _verdict(-0.02, 1.01).ok


def test_gate_without_labels_judges_by_matched_boxes(squares: tuple[Bundle, list[Path]]) -> None:
    bundle, paths = squares
    found = gate(bundle, quantize(bundle, paths).bundle, paths, min_speedup=0)
    assert found.ok
    assert found.accuracy.measure == "boxes of equal class matched at IoU 0.9"
    assert found.accuracy.numbers["matched_90"] == found.accuracy.numbers["reference"] == 36


def test_gate_when_the_model_finds_nothing_any_more_says_no(squares: tuple[Bundle, list[Path]]) -> None:
    bundle, paths = squares
    found = gate(bundle, _blind(bundle), paths, min_speedup=0)
    assert not found.ok
    assert "fell from 1.0000 to 0.0000" in found.reasons[0]


def test_gate_with_labels_judges_by_the_metric(colours: tuple[Bundle, list[Path]], tmp_path: Path) -> None:
    bundle, paths = colours
    found = gate(bundle, _blind(bundle), paths, data=f"imagefolder:{tmp_path / 'colours'}", min_speedup=0)
    assert not found.ok
    assert (found.accuracy.measure, found.accuracy.reference, found.accuracy.images) == ("top1", 1.0, 12)
    assert found.accuracy.value == pytest.approx(1 / 3)


def test_gate_without_pictures_is_an_error(squares: tuple[Bundle, list[Path]]) -> None:
    with pytest.raises(ExportError, match="needs pictures"):
        gate(squares[0], squares[0], [])


def test_measured_speed_is_of_both_models_in_turns(squares: tuple[Bundle, list[Path]]) -> None:
    bundle, paths = squares
    told: list[tuple[str, int, int]] = []
    found = measure_speed(bundle, bundle, paths, runs=31, progress=lambda *how: told.append(how))
    assert 0.3 < found.ratio < 3
    assert told[-1] == ("timing", 31, 31)


def test_settle_when_it_holds_at_once_puts_nothing_back(squares: tuple[Bundle, list[Path]]) -> None:
    bundle, paths = squares
    found = settle(bundle, paths, min_speedup=0)
    assert found.verdict.ok
    assert found.report["tried"] == [{"method": "minmax", "put_back": 0, "work": 0, "drop": 0}]
    assert (found.report["calibrated_on"], found.report["judged_on"]) == (9, "3 pictures")
    assert not found.report["judged_on_calibration_images"]


def test_settle_when_there_are_few_pictures_says_that_it_judged_on_them(squares: tuple[Bundle, list[Path]]) -> None:
    bundle, paths = squares
    report = settle(bundle, paths[:3], min_speedup=0).report
    assert report["judged_on_calibration_images"]


def test_settle_when_layers_cost_too_much_puts_back_the_worst_and_no_more(
    colours: tuple[Bundle, list[Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One layer, made to fail in 8 bits, is the one that goes back to float."""
    bundle, paths = colours
    original = Calibrated.quantize
    culprit = calibrate(bundle, paths).cores[2]

    def spoiled(self: Calibrated, keep_float=()):
        found = original(self, keep_float)
        if culprit in keep_float:
            return found
        # The last product's weights are lost as long as the culprit runs in 8 bits.
        for tensor in found.model.graph.initializer:
            if tensor.data_type == onnx.TensorProto.INT8 and list(tensor.dims) == [12, 3]:
                tensor.CopyFrom(numpy_helper.from_array(np.zeros((12, 3), np.int8), tensor.name))
            elif tensor.data_type == onnx.TensorProto.FLOAT and list(tensor.dims) == [12, 3]:
                tensor.CopyFrom(numpy_helper.from_array(np.zeros((12, 3), np.float32), tensor.name))
        return found

    monkeypatch.setattr(Calibrated, "quantize", spoiled)
    monkeypatch.setattr(
        putback,
        "sensitivities",
        lambda c, *_, **__: [Sensitivity(n, 1.0, 0.1) for n in [c.cores[0], culprit, *c.cores[3:]]],
    )
    found = settle(bundle, paths, method="minmax", min_speedup=0, max_drop=0.0)
    assert found.verdict.ok
    tried = [(t["put_back"], t["work"], t["drop"] > 0) for t in found.report["tried"]]
    assert tried == [(0, 0, True), (1, 0.1, True), (2, 0.2, False)]
    assert culprit in found.report["kept_float"]


def test_settle_when_it_cannot_hold_says_so(squares: tuple[Bundle, list[Path]]) -> None:
    bundle, paths = squares
    found = settle(bundle, paths, min_speedup=1e6)
    assert not found.verdict.ok
    assert "not faster here" in found.verdict.reasons[0]
    assert found.report["gate"]["ok"] is False


def test_sensitivities_rank_every_layer_by_the_harm_it_does_for_its_work(colours: tuple[Bundle, list[Path]]) -> None:
    bundle, paths = colours
    calibrated = calibrate(bundle, paths)
    found = sensitivities(calibrated, paths)
    assert {one.layer for one in found} == set(calibrated.cores)
    assert sum(one.work for one in found) == pytest.approx(1)
    assert 0 < max(one.error for one in found) < 2
    worth = [one.error / (one.work + 1 / len(found)) for one in found]
    assert worth == sorted(worth, reverse=True)


def test_half_precision_when_it_costs_too_much_puts_back_layers_until_it_holds(
    colours: tuple[Bundle, list[Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A layer whose values only float32 tells apart, before one that takes them from each other again."""
    bundle, paths = colours
    original = Halving.quantize
    culprit = halving(bundle, paths).cores[1]

    def spoiled(self: Halving, keep_float=()):
        found = original(self, keep_float)
        return found if culprit in keep_float else dataclasses.replace(found, model=_blinded(found.model))

    monkeypatch.setattr(Halving, "quantize", spoiled)
    found = halve(bundle, paths, max_drop=0.0)
    assert found.verdict.ok
    assert found.report["kept_float"][culprit] == "put back: half precision costs too much accuracy here"
    assert found.report["tried"][0]["drop"] > 0 == found.report["tried"][-1]["drop"]
    assert found.report["sensitivity"]
    ran = {row["layer"]: row["runs_in"] for row in found.report["layers"]}
    assert ran[culprit] == "float"
    assert set(ran.values()) == {"float", "fp16"}


def test_speed_for_openvino_is_of_both_models_there_by_the_wall_clock(squares: tuple[Bundle, list[Path]]) -> None:
    if importlib.util.find_spec("openvino") is None:
        pytest.skip("needs openvino")
    bundle, paths = squares
    found = measure_speed(bundle, bundle, paths, provider="openvino", runs=3)
    assert found.provider.startswith("OpenVINO")
    assert found.clock == "perf_counter", "its kernels run in threads of their own"
    verdict = Verdict(Accuracy("top1", 0.9, 0.9, 100, {}), found, 0.27, 0.01, 0.0)
    how = verdict.to_json()["latency_how"]
    assert (how["provider"], how["percentile"]) == (found.provider, 0)
    assert f"one thread, {found.provider})" in gate_text({**verdict.to_json(), "min_speedup": 1})


def test_settle_says_on_whose_kernels_each_number_was_measured(
    colours: tuple[Bundle, list[Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    if importlib.util.find_spec("openvino") is None:
        pytest.skip("needs openvino")
    bundle, paths = colours
    asked: list[str] = []
    original = putback.sensitivities

    def listened(candidate, images, options, **more):
        asked.append(options.providers[0])
        return original(candidate, images, options, **more)

    monkeypatch.setattr(putback, "sensitivities", listened)
    monkeypatch.setattr("export.settle.holds", lambda *_: False)
    report = settle(bundle, paths, kernels="openvino", provider="openvino", min_speedup=0, method="minmax").report
    assert asked == ["openvino"]
    assert report["measured_by"]["float"] == report["measured_by"]["layers"] == "CPUExecutionProvider"
    assert report["measured_by"]["quantized"].startswith("OpenVINO")

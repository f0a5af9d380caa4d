"""The report as one HTML page that a person enjoys reading: nothing is fetched, nothing runs."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import cv2

from edge.frame import Image
from export.charts import Bar, Range, bars, columns, ranges
from export.markup import breakable, listed, section, table

__all__ = ["Pair", "page"]

_STYLE = Path(__file__).with_name("report.css")
_WIDTH = 560
_QUALITY = 82


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """A picture with both models' results drawn on it, uint8 [H, W, 3] BGR, and what there is to say of it."""

    before: Image
    after: Image
    caption: str


def page(report: Mapping[str, Any], pairs: Sequence[Pair]) -> str:
    """The whole page; see `export.report` for what `report` holds."""
    gate, model = report["gate"], report["model"]
    good = gate["ok"]
    title = f"{model['name']} in {report['precision']}"
    parts = [
        f"<header><h1>{breakable(title)}</h1>",
        f'<p class="soft">{escape(model["task"])}, {model["height"]} x {model["width"]} pixels, {model["classes"]} classes, '
        f"version {escape(model['version'])}</p>",
        f'<p class="verdict {"good" if good else "bad"}">The gate {"lets it pass" if good else "refuses it"}</p>',
        listed(gate["reasons"], "reasons"),
        "</header>",
        _tiles(report),
        section("How much accuracy it costs", _accuracy(report)),
        section("The same pictures, both models", _pictures(pairs, report["precision"])) if pairs else "",
        section("How fast it is on this machine", _latency(report)),
        section("Where the rounding shows", _layers(report)) if report.get("layers") else "",
        section("What stayed in float, and why", _kept(report)),
        section("How it was found", _search(report)),
        section("What it was made of", _facts(report)),
        "<footer>Written by gluon-export when the bundle was made. The same numbers, for machines: report.json.</footer>",
    ]
    style = _STYLE.read_text(encoding="utf-8")
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{style}</style></head>\n<body><main>\n{chr(10).join(p for p in parts if p)}\n</main></body></html>\n"
    )


def _tiles(report: Mapping[str, Any]) -> str:
    gate, size = report["gate"], report["bytes"]
    accuracy, latency = gate["accuracy"], gate["latency_ms"]
    tiles = [
        (_share(accuracy["quantized"]), f"{_measure(accuracy)}; {_share(accuracy['float'])} in float"),
        (
            f"{latency['ratio']:.2f} x",
            f"the speed: {_time(latency['quantized'])} instead of {_time(latency['float'])}, one thread, "
            f"{gate['latency_how']['provider']}",
        ),
        (
            f"{size['ratio']:.3f} x",
            f"the size: {size['quantized'] / 1e6:.3g} MB instead of {size['float'] / 1e6:.3g} MB",
        ),
    ]
    cells = "".join(f'<div class="tile"><b>{escape(big)}</b><span>{escape(small)}</span></div>' for big, small in tiles)
    return f'<div class="tiles">{cells}</div>'


_MEASURES = {
    "top1": "top-1 accuracy",
    "ap": "average precision (IoU 0.50 to 0.95)",
    "mask_ap": "average precision of outlines (IoU 0.50 to 0.95)",
    "miou": "mean IoU",
    "oks_ap": "average precision of poses (OKS 0.50 to 0.95)",
}


def _measure(accuracy: Mapping[str, Any]) -> str:
    """A metric's name in words; agreement is named so already."""
    return _MEASURES.get(accuracy["measure"], str(accuracy["measure"]))


def _accuracy(report: Mapping[str, Any]) -> str:
    gate = report["gate"]
    accuracy = gate["accuracy"]
    known = accuracy["intervals_95"]
    rows = [
        Range(name, accuracy[key], None if known.get(key) is None else tuple(known[key]), kind)
        for name, key, kind in (("float", "float", "float"), (report["precision"], "quantized", "quantized"))
    ]
    lost = known.get("drop")
    between = "" if lost is None else f" (with 95 % confidence from {lost[0] * 100:.2f} to {_points(lost[1])} lost)"
    change = f"{_points(abs(accuracy['drop']))} {'gained' if accuracy['drop'] < 0 else 'lost'}"
    whiskers = "Whiskers: where the value lies with 95 % confidence, given that these are all the images there are."
    return (
        f"<p>{escape(_upper(_measure(accuracy)))}, on {accuracy['images']} images: {change}{between}; "
        f"at most {_points(gate['max_drop'])} may be lost. {escape(_judged(report))} {escape(_answered(report))}</p>"
        + ranges(rows, title=_measure(accuracy))
        + (f'<p class="note">{whiskers}</p>' if known else "")
        + _metrics(accuracy["numbers"])
    )


def _judged(report: Mapping[str, Any]) -> str:
    if report["judged_on"] == "labelled data":
        return "Measured on labelled data."
    if report["judged_on_calibration_images"] and report["precision"] == "fp16":
        return "Measured against the float model's own answers; nothing was fitted to these pictures."
    if report["judged_on_calibration_images"]:
        return "There were too few pictures to keep some from calibration, so these are the same ones."
    return "Measured against the float model's own answers, on pictures that were kept from calibration."


def _answered(report: Mapping[str, Any]) -> str:
    by = report["measured_by"]
    if by["float"] == by["quantized"]:
        return f"Both models answered on {by['float']}."
    return f"The float model answered on {by['float']}, the new one on {by['quantized']}."


def _metrics(numbers: Mapping[str, Any]) -> str:
    if not isinstance(numbers.get("float"), Mapping):
        return ""
    rows = [[name, _share(value), _share(numbers["quantized"][name])] for name, value in numbers["float"].items()]
    return f"<details><summary>All metrics</summary>{table(['metric', '#float', '#quantized'], rows)}</details>"


def _pictures(pairs: Sequence[Pair], precision: str) -> str:
    found = []
    for pair in pairs:
        images = "".join(
            f'<div><img alt="{escape(name)} model: {escape(pair.caption, quote=True)}" src="{_embedded(image)}">'
            f"<span>{escape(name)}</span></div>"
            for name, image in (("float", pair.before), (precision, pair.after))
        )
        found.append(f'<figure class="pair">{images}<figcaption>{escape(pair.caption)}</figcaption></figure>')
    return "".join(found)


def _latency(report: Mapping[str, Any]) -> str:
    rows = report["latency"]
    chart = []
    for row in rows:
        where = f"{row['provider']}, {row['threads']} thread{'s' if row['threads'] > 1 else ''}"
        chart.append(Bar(where, row["float_ms"], _time(row["float_ms"]), "float"))
        chart.append(Bar("", row["quantized_ms"], f"{_time(row['quantized_ms'])}, {row['ratio']:.2f} x"))
    runs = sorted({row["runs"] for row in rows})
    many = (
        ""
        if runs == [1]
        else f"the fastest of {' to '.join(map(str, dict.fromkeys((runs[0], runs[-1]))))}, "
        if runs
        else ""
    )
    note = f'<p class="note">One inference: {many}both models in turns, on {escape(report["machine"])}. '
    key = f'<p class="key"><i class="float"></i>float<i class="quantized"></i>{escape(report["precision"])}</p>'
    return bars(chart, title="Latency") + key + note + "On the device, gluon-edge tune measures its own.</p>"


def _layers(report: Mapping[str, Any]) -> str:
    rows = report["layers"]
    chart = [
        Bar(
            r["layer"],
            r["snr_db"],
            f"{r['snr_db']:.1f} dB, {r['runs_in']}",
            "float" if r["runs_in"] == "float" else "quantized",
        )
        for r in rows
    ]
    regions = (
        " Behind the choice of regions they are compared one by one in their order: where the quantized model chose others, "
        "what belongs to others is compared, and the signal seems to drop."
        if "RoiAlign" in report["float"]
        else ""
    )
    grouped = any(r["together"] > 1 for r in report["sensitivity"])
    harm = {r["layer"]: r["error"] for r in report.get("sensitivity", [])}
    worst = sorted(rows, key=lambda r: r["snr_db"])[:20]
    cells = [
        [
            r["layer"],
            r["op"],
            r["runs_in"],
            f"{r['snr_db']:.1f}",
            f"{harm[r['layer']]:.4f}" if r["layer"] in harm else "",
        ]
        for r in worst
    ]
    return (
        "<p>Each layer's signal over what the quantized model adds to it, from the picture (left) to the results (right), "
        f"all layers before it included; on {escape(report['measured_by']['layers'])}. Higher is better.{regions}</p>"
        + columns(chart, title="Signal to noise by layer", unit="layers, in order; decibel")
        + '<p class="key"><i class="quantized"></i>quantized<i class="float"></i>in float</p>'
        + f"<details><summary>The {len(cells)} noisiest</summary>"
        + table(["layer", "operator", "runs in", "#dB", "#harm of its group" if grouped else "#harm alone"], cells)
        + "</details>"
    )


def _kept(report: Mapping[str, Any]) -> str:
    kept = report["kept_float"]
    operators = ", ".join(f"{n} {op}" for op, n in report["float"].items())
    text = (
        f'<p class="note">All nodes in float, with what comes after the last layers by design: {escape(operators)}.</p>'
    )
    if not kept:
        return "<p>No layer with weights: all of them are quantized.</p>" + text
    return table(["layer", "why"], [[name, why] for name, why in kept.items()]) + text


def _search(report: Mapping[str, Any]) -> str:
    rows = [[t["method"], str(t["put_back"]), _share(t["work"]), _points(t["drop"])] for t in report["tried"]]
    together = max((one["together"] for one in report["sensitivity"]), default=1)
    grouped = f"The net is too large to measure each layer alone: up to {together} neighbours were measured together. "
    return (
        '<p class="note">Until the loss was small enough: ways to choose the ranges in order, then layers put back to '
        "float, those first that do most harm alone for the work they are. "
        + (grouped if together > 1 else "")
        + f"Each was judged on {escape(report['measured_by']['quantized'])}.</p>"
        + table(["ranges by", "#layers put back", "#of the work", "#lost"], rows)
    )


def _calibrated(report: Mapping[str, Any]) -> str:
    skipped, effort = len(report["images_skipped"]), report["effort"]
    found = f"{report['calibrated_on']} pictures"
    if effort["calibration_given"] > report["calibrated_on"]:
        found += (
            f" of {effort['calibration_given']}: one takes {effort['multiplications'] / 1e9:.3g} billion multiplications "
            "(quantize --effort 4 takes four times as many)"
        )
    return found + (f", {skipped} more could not be read" if skipped else "")


def _facts(report: Mapping[str, Any]) -> str:
    rows = [
        ["calibrated on", _calibrated(report)],
        ["scheme", str(report["scheme"])],
        ["ranges by", str(report["method"])],
        ["weights", f"{'per channel' if report['per_channel'] else 'per tensor'}, rounding {report['rounding']}"],
        ["layers", ", ".join(f"{n} {op}" for op, n in report["quantized"].items())],
        ["float model, SHA-256", report["digests"]["float_model"]],
        ["quantized model, SHA-256", report["digests"]["model"]],
        *([f"source {kind}, SHA-256", digest] for kind, digest in report["digests"]["source"].items()),
        *([name, number] for name, number in report["tools"].items()),
    ]
    return table(["", ""], rows)


def _time(ms: float) -> str:
    return f"{ms:.3g} ms" if ms < 999.5 else f"{ms / 1e3:.3g} s"


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _share(value: float) -> str:
    return f"{value * 100:.1f} %"


def _points(value: float) -> str:
    return f"{value * 100:.2f} points"


def _embedded(image: Image) -> str:
    if image.shape[1] > _WIDTH:
        height = round(image.shape[0] * _WIDTH / image.shape[1])
        image = cv2.resize(image, (_WIDTH, height), interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    ok, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    if not ok:
        raise ValueError("the picture cannot be encoded")
    return f"data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode()}"

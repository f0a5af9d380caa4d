import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest
from models import COLOURS, SIDE, bundle_of, colour_net, colour_pictures, square_net, square_pictures

from edge.bundle.bundle import InputSpec, Source, read_bundle
from export.calibrate import images
from export.charts import Bar, Range, bars, columns, ranges
from export.cli import main
from export.pack import write_bundle
from export.page import page
from export.report import complete, pairs_of, render
from export.reported import Report, schema
from export.settle import halve, settle

_VOID = {"meta", "img", "br"}


class _Strict(HTMLParser):
    """Every tag that is opened is closed, in order; what is shown and what is fetched is kept."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.fetched: list[str] = []
        self.tags: list[str] = []
        self.text = ""

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.fetched += [v for k, v in attrs if k in {"src", "href", "srcset", "action"}]
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, _attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.text += data


def _parsed(html):
    parser = _Strict()
    parser.feed(html)
    parser.close()
    assert parser.open == []
    return parser


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    square_pictures(folder / "squares", 12)
    bundle = bundle_of(square_net(), "detection", ("red", "green"))
    paths = images(folder / "squares")
    settled = settle(bundle, paths, min_speedup=0)
    after = settled.quantized.bundle
    report = complete(settled.report, bundle, after, paths)
    return report, bundle, after, paths


@pytest.fixture(scope="module")
def halved(made):
    """The report of the same net in half precision."""
    _, bundle, _, paths = made
    settled = halve(bundle, paths[:4])
    return complete(settled.report, bundle, settled.quantized.bundle, paths)


def test_report_has_what_a_person_asks_for(made):
    report, *_ = made
    document = json.loads(json.dumps(report, allow_nan=False))
    assert document["model"] == {
        "name": "net", "version": "1.0.0", "task": "detection", "classes": 2, "height": SIDE, "width": SIDE,
    }  # fmt: skip
    assert {row["provider"] for row in document["latency"]} >= {"cpu"}
    assert {row["threads"] for row in document["latency"]} >= {1}
    assert all(row["float_ms"] > 0 and row["quantized_ms"] > 0 for row in document["latency"])
    assert [row["runs_in"] for row in document["layers"]] == ["int8", "int8"]
    assert all(20 < row["snr_db"] <= 100 for row in document["layers"])
    low, high = document["gate"]["accuracy"]["intervals_95"]["quantized"]
    assert 0.5 < low < high == 1
    assert all(re.fullmatch("[0-9a-f]{64}", document["digests"][name]) for name in ("float_model", "model"))


def test_report_is_as_its_schema_says(made, halved):
    """Both precisions; a key that the schema does not know would fail too."""
    for report in (made[0], halved):
        Report.model_validate_json(json.dumps(report))
    assert halved["precision"] == "fp16"
    committed = json.loads((Path(__file__).parents[2] / "docs" / "report-1.0.schema.json").read_text())
    assert committed == schema()  # written by: python -m export.reported > docs/report-1.0.schema.json


def test_report_that_is_not_as_its_schema_says_is_told_from_one_that_is(made):
    for wrong in ({"int8": 1}, {"scheme": "u7"}, {"gate": {**made[0]["gate"], "int8": 1}}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            Report.model_validate_json(json.dumps({**made[0], **wrong}))


def test_page_is_whole_fetches_nothing_and_runs_nothing(made):
    report, bundle, after, paths = made
    html = render(report, bundle, after, paths)
    parsed = _parsed(html)
    assert parsed.tags.count("img") == 6
    assert all(source.startswith("data:image/jpeg;base64,") for source in parsed.fetched)
    assert not {"script", "link", "iframe"} & set(parsed.tags)
    assert [word for word in ("http", "url(", "@import") if word in html] == []
    assert "prefers-color-scheme: dark" in html
    assert len(html) < 2_000_000
    for words in ("The gate lets it pass", "float model, SHA-256", report["digests"]["model"], "3 of them by this one"):
        assert words in parsed.text


def test_page_of_a_net_of_two_stages_says_seconds_and_what_its_layers_are_compared_by(made):
    report = json.loads(json.dumps(made[0]))
    report["gate"]["latency_ms"] = {"float": 12034.6, "quantized": 4110.8, "ratio": 2.93}
    report["latency"] = [
        {"provider": "cpu", "threads": 1, "float_ms": 18086.7, "quantized_ms": 999.4, "ratio": 3.3, "runs": 1}
    ]
    report["float"]["RoiAlign"] = 2
    report["sensitivity"] = [{"layer": "a", "error": 0.5, "work": 0.1, "together": 3}]
    text = _parsed(page(report, [])).text
    assert "4.11 s instead of 12 s" in text
    assert "18.1 s" in text
    assert "999 ms" in text
    assert "e+0" not in text
    assert "One inference: both models in turns" in text
    assert "Behind the choice of regions" in text
    assert "harm of its group" in text
    assert "up to 3 neighbours were measured together" in text
    usual = _parsed(page(made[0], [])).text
    assert "Behind the choice" not in usual
    assert "measured together" not in usual


def test_page_is_the_same_for_the_same_report(made):
    report, bundle, after, paths = made
    assert render(report, bundle, after, paths) == render(json.loads(json.dumps(report)), bundle, after, paths)


def test_page_when_the_gate_refuses_says_why_first(made):
    report, *_ = made
    reasons = ["not faster here: 3.00 ms against 2.00 ms in float"]
    parsed = _parsed(page({**report, "gate": {**report["gate"], "ok": False, "reasons": reasons}}, []))
    assert "The gate refuses it" in parsed.text
    assert parsed.text.index(reasons[0]) < parsed.text.index("How much accuracy")


def test_page_when_names_hold_markup_shows_them_as_text(made):
    report, *_ = made
    evil = "<script>alert('1')</script>&\""
    document = {**report, "kept_float": {evil: evil}, "model": {**report["model"], "name": evil}}
    document["layers"] = [{**report["layers"][0], "layer": evil}]
    parsed = _parsed(page(document, []))
    assert "script" not in parsed.tags
    assert parsed.text.count(evil) >= 3


def test_page_in_a_real_browser_shows_its_charts(made, tmp_path):
    """Where one is installed; that the page is whole is tested above in any case."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium here")
    report, bundle, after, paths = made
    (tmp_path / "report.html").write_text(render(report, bundle, after, paths))
    done = subprocess.run(
        [
            *(browser, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=1000", "--window-size=900,900"),
            *(f"--user-data-dir={tmp_path / 'profile'}", f"--screenshot={tmp_path / 'page.png'}", "--dump-dom"),
            (tmp_path / "report.html").as_uri(),
        ],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("<svg") == 3
    assert "The gate lets it pass" in done.stdout


def test_pairs_are_of_the_pictures_with_most_in_them(made):
    _, bundle, after, paths = made
    pairs = pairs_of(bundle, after, paths)
    assert len(pairs) == 3
    assert all(p.before.shape == p.after.shape and "3 found" in p.caption for p in pairs)


def test_pairs_of_a_classifier_are_large_enough_to_read_and_say_both_scores(tmp_path):
    bundle = bundle_of(colour_net(), "classification", COLOURS)
    pairs = pairs_of(bundle, bundle, images(colour_pictures(tmp_path)))
    assert all(p.before.shape[1] >= 320 and "the same best class, scores" in p.caption for p in pairs)


def test_charts_are_whole_for_no_rows_one_row_and_zeros():
    for rows in ([], [Bar("a", 0, "0")], [Bar("a", 1, "1"), Bar("b", 3, "3", "float")]):
        _parsed(bars(rows, title="t"))
        _parsed(columns(rows, title="t", unit="u"))
    _parsed(ranges([Range("a", 1.0, None)], title="t"))
    drawn = ranges([Range("a", 0.5, (0.4, 0.6)), Range("b", 0.55, None)], title="t")
    assert drawn.count("whisker") == 3


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A bundle on disk so small that 8 bits do not pay, and pictures for it."""
    folder = tmp_path_factory.mktemp("small")
    write_bundle(
        folder / "net",
        model=square_net(),
        task="detection",
        name="net",
        labels=("red", "green"),
        input_spec=InputSpec(height=SIDE, width=SIDE),
        source=Source(net="net"),
    )
    for name, count in (("day", 8), ("night", 4)):
        square_pictures(folder / name, count)
    return folder


def _quantize(small, out, *more):
    calibration = ("--calibration", small / "day", "--calibration", small / "night")
    return main([str(a) for a in ("quantize", small / "net", *calibration, "-o", out, "--json", *more)])


def test_quantize_when_the_loss_is_too_large_writes_both_reports_and_no_bundle(small, tmp_path, monkeypatch, capsys):
    """A max-drop that cannot hold: every candidate's weights are lost on their way."""
    import numpy as np
    import onnx

    from export.quantize import Quantized, with_model

    def blind(self):
        model = onnx.ModelProto()
        model.CopyFrom(self.model)
        for tensor in model.graph.initializer:
            if tensor.data_type == onnx.TensorProto.INT8 and len(tensor.dims) == 4:
                tensor.CopyFrom(onnx.numpy_helper.from_array(np.zeros(list(tensor.dims), np.int8), tensor.name))
        return with_model(self.source, model.SerializeToString())

    monkeypatch.setattr(Quantized, "bundle", property(blind))
    assert _quantize(small, tmp_path / "out") == 1
    report = json.loads(capsys.readouterr().out)
    assert not (tmp_path / "out").exists()
    assert "fell from 1.0000 to 0.0000" in report["gate"]["reasons"][0]
    assert [t["method"] for t in report["tried"][:4]] == ["minmax", "mse", "percentile", "entropy"]
    assert json.loads((tmp_path / "out-report.json").read_text()) == report
    assert "The gate refuses it" in _parsed((tmp_path / "out-report.html").read_text()).text


def test_quantize_when_int8_is_slower_here_says_so_and_force_writes_it(small, tmp_path, monkeypatch, capsys):
    """Real timings, held against a speed that no model of this size reaches."""
    import export.settle

    monkeypatch.setattr(export.settle, "REQUIRED_SPEEDUP", 50.0)
    assert _quantize(small, tmp_path / "out") == 1
    report = json.loads(capsys.readouterr().out)
    assert "not faster here" in report["gate"]["reasons"][0]
    assert (tmp_path / "out-report.html").is_file()
    assert _quantize(small, tmp_path / "out", "--force") == 0
    bundle = read_bundle(tmp_path / "out")
    assert {"report.json", "report.html"} <= bundle.files.keys()
    assert not bundle.json("report.json")["gate"]["ok"]
    assert bundle.json("report.json")["images"] == 9  # of twelve in two folders, three are kept to judge on


def test_quantize_when_a_picture_cannot_be_read_goes_on_without_it_and_says_so(small, tmp_path, capsys, caplog):
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "a.jpg").write_bytes(b"half a picture")
    args = ("--calibration", str(tmp_path / "torn"), "--force")
    assert _quantize(small, tmp_path / "out", *args) == 0
    report = json.loads(capsys.readouterr().out)["report"]
    assert "a.jpg: not an image" in report["images_skipped"]["a.jpg"]
    assert "1 of 13 images left out; the first: " in caplog.text
    assert report["images"] == 9
    assert "1 more could not be read" in _parsed((tmp_path / "out" / "report.html").read_text()).text


def test_quantize_with_both_schemes_writes_two_bundles(small, tmp_path, capsys):
    assert _quantize(small, tmp_path / "out", "--scheme", "both", "--force") == 0
    documents = json.loads(capsys.readouterr().out)
    assert [d["report"]["scheme"] for d in documents] == ["u8s8", "s8s8"]
    for scheme in ("u8s8", "s8s8"):
        bundle = read_bundle(tmp_path / f"out-{scheme}")
        assert (bundle.manifest.precision, bundle.json("report.json")["scheme"]) == ("int8", scheme)
    judged = {d["report"]["scheme"]: d["report"]["gate"]["min_speedup"] for d in documents}
    assert sorted(judged.values()) == [0, 1]  # only what this machine is for is timed against float


def test_quantize_to_half_precision_writes_a_bundle_with_its_report(small, tmp_path, capsys):
    assert _quantize(small, tmp_path / "out", "--precision", "fp16", "--force") == 0
    capsys.readouterr()
    bundle = read_bundle(tmp_path / "out")
    assert bundle.manifest.precision == "fp16"
    assert bundle.json("report.json")["gate"]["accuracy"]["drop"] == 0
    _parsed(bundle.files["report.html"].decode())


def test_packed_bundle_holds_the_page_and_is_the_same_bytes_each_time(small, tmp_path, capsys):
    assert _quantize(small, tmp_path / "out", "--force") == 0
    for name in ("a.zip", "b.zip"):
        assert main(["pack", str(tmp_path / "out"), "-o", str(tmp_path / name)]) == 0
    capsys.readouterr()
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    assert Path(tmp_path / "out" / "report.html").read_bytes() == read_bundle(tmp_path / "a.zip").files["report.html"]

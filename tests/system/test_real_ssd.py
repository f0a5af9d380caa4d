"""A real trained SSD through the whole chain: the developers' one with photographs, else the one the repository ships."""

import json
import subprocess
import sys

import cv2
import numpy as np
import pytest
from street import ROOT

from edge.bundle.bundle import read_bundle
from edge.inference.stages import Stage
from export.cli import main
from export.pack import drawn_image


@pytest.fixture(scope="module")
def real(data, street, tmp_path_factory):
    """A converted SSD and a picture that it has something to say about."""
    stem = None if data is None else data / "weights/ssd_mobilenet_vehicle_pedestrian/ssd_mobilenet_vehicle_pedestrian"
    if stem is None or not stem.with_name(f"{stem.name}-symbol.json").is_file():
        picture = tmp_path_factory.mktemp("real") / "drawn.png"
        cv2.imwrite(str(picture), drawn_image(read_bundle(street).manifest.input))
        return street, picture
    out = tmp_path_factory.mktemp("real") / "ssd"
    code = main([
        *("convert", "--symbol", f"{stem}-symbol.json", "--params", f"{stem}-0000.params", "--task", "detection"),
        *("--input", "384x672", "--labels", "vehicle,pedestrian"),
        *("--mean", "0.485,0.456,0.406", "--std", "0.229,0.224,0.225", "-o", str(out)),
    ])  # fmt: skip
    assert code == 0
    return out, data / "images/detection/street.jpg"


def test_real_ssd_when_it_looks_at_a_street_then_finds_what_mxnet_finds(real, capsys):
    bundle, picture = real
    assert main(["verify", str(bundle), "--images", str(picture), "--json"]) == 0
    outputs = {o["name"]: o for o in json.loads(capsys.readouterr().out)["outputs"]}
    assert outputs["scores"]["max_abs"] <= 1e-4
    assert outputs["boxes"]["max_abs"] <= 0.06
    done = subprocess.run(
        [sys.executable, "-m", "edge", "predict", str(bundle), str(picture), "--json"],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    if picture.name != "street.jpg":
        assert found["model"]
        return
    scores = {
        label: [r["score"] for r in found["results"] if r["label"] == label] for label in ("pedestrian", "vehicle")
    }
    np.testing.assert_allclose(scores["pedestrian"][:5], [1.00, 0.99, 0.98, 0.90, 0.83], atol=0.006)
    np.testing.assert_allclose(scores["vehicle"], [0.87, 0.75], atol=0.006)


def test_real_ssd_when_given_a_batch_then_each_picture_gets_its_own_results(real):
    bundle, picture = real
    stage = Stage(read_bundle(bundle))
    spec = stage.bundle.manifest.input
    image = cv2.resize(cv2.imread(str(picture)), (spec.width, spec.height))[..., ::-1]
    batch = np.stack([image, image[:, ::-1], np.zeros_like(image)])
    together = stage.session.infer(np.ascontiguousarray(batch))
    for i in range(3):
        alone = stage.session.infer(np.ascontiguousarray(batch[i : i + 1]))
        assert together["count"][i] == alone["count"][0]
        np.testing.assert_allclose(together["scores"][i], alone["scores"][0], atol=1e-5)
        np.testing.assert_allclose(together["boxes"][i], alone["boxes"][0], atol=1e-2)

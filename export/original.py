"""The net as it was before it was converted: MXNet in the place of the device's session, all else the same."""

from __future__ import annotations

import time
from typing import Any, Final

import numpy as np

from edge.bundle.bundle import Bundle
from edge.frame import Image
from edge.inference.stages import Timing, prepare_for
from edge.results import Result, decode
from export.errors import ExportError
from export.graph import Array
from export.heads import Normalization
from export.heads.classification import ends_in_softmax
from export.heads.multibox import split_rows
from export.heads.segmentation import class_scores
from export.pack import source_files

__all__ = ["Original", "device_outputs"]

_ROWS: Final = 100


class Original:
    """A bundle's MXNet net, looking at pictures as `edge.inference.stages.Stage` does.

    Raises:
        ExportError: when the bundle's source is not at hand, or MXNet is not installed.
    """

    def __init__(self, bundle: Bundle) -> None:
        files = source_files(bundle)
        if files is None:
            raise ExportError(
                f"{bundle.path}: has no MXNet source beside it to be measured against; 'gluon-export convert' keeps it in "
                "the bundle's folder (a zip, or what 'quantize' writes, has none: evaluate the converted folder, with "
                "--against the quantized bundle)"
            )
        from export.verify import normalized
        from export.zoo.net import Net

        self.bundle = bundle
        self._normalized = normalized
        self._normalization = _normalization(bundle)
        self._net = Net(*files)

    def __call__(self, image: Image) -> tuple[Result, Timing]:
        """The result for a picture, uint8 [H, W, 3] BGR, in its pixels, and what it took."""
        start = time.perf_counter()
        tensor, placement = prepare_for(self.bundle, image)
        pixels = self._normalized(tensor[None], self._normalization)
        prepared = time.perf_counter()
        raw = self._net(pixels)
        ran = time.perf_counter()
        task, size = self.bundle.manifest.task, (tensor.shape[0], tensor.shape[1])
        rows = split_rows(self._net.graph, raw, size)
        if task == "classification" and not ends_in_softmax(self._net.graph):
            rows = [_softmax(rows[0]), *rows[1:]]
        if task == "segmentation":
            rows = [class_scores(self._net.graph, rows[0])]
        result = decode(task, device_outputs(task, rows, size), placement, threshold=0.0)
        done = time.perf_counter()
        return result, Timing(*((b - a) * 1e3 for a, b in ((start, prepared), (prepared, ran), (ran, done))))


def device_outputs(task: str, raw: list[Array], size: tuple[int, int]) -> dict[str, Any]:
    """GluonCV's outputs for one picture -> those of a bundle's graph, without the batch axis.

    `raw` are probabilities [1, C], or ids, scores [1, R, 1] and boxes [1, R, 4] (with masks [1, R, h, w]), or a map of
    scores [1, C, h, w], or heatmaps [1, J, h, w]; `size` is the height and width of the net's input.
    """
    if task == "classification":
        return {"scores": raw[0].reshape(-1)}
    if task == "segmentation":
        return {"mask": _mask(raw[0][0], size)}
    if task == "pose":
        return {"keypoints": _joints(raw[0][0], size)}
    ids, scores = raw[0].reshape(-1), raw[1].reshape(-1)
    valid = np.flatnonzero((ids >= 0) & (scores > 0))
    best = valid[np.argsort(-scores[valid], kind="stable")][:_ROWS]
    found = {"boxes": raw[2][0][best], "scores": scores[best], "labels": ids[best].astype(np.int64)}
    masks = {"masks": raw[3][0][best]} if task == "instances" else {}
    return {**found, **masks, "count": np.int64(len(best))}


def _normalization(bundle: Bundle) -> Normalization:
    said: dict[str, Any] = {str(k): v for k, v in bundle.manifest.source.normalization.items()}
    if "mean" in said:
        return Normalization.gluoncv(said["mean"], said["std"])
    return Normalization.affine(said.get("scale", 1.0), said.get("offset", 0.0))


def _softmax(logits: Array) -> Array:
    flat = logits.reshape(len(logits), -1).astype(np.float64)
    powers = np.exp(flat - flat.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)


def _mask(scores: Array, size: tuple[int, int]) -> Array:
    """The best class of each pixel of the input; a smaller map is enlarged by nearest neighbour."""
    rows, columns = (np.arange(n) * m // n for n, m in zip(size, scores.shape[1:], strict=True))
    return np.asarray(scores.argmax(axis=0).astype(np.uint8)[rows][:, columns])


def _joints(heat: Array, size: tuple[int, int]) -> Array:
    """Joints [J, 3], x, y and score, from heatmaps [J, h, w]: `get_max_pred` and `get_final_preds` of GluonCV.

    The peak, moved a quarter of a cell towards the higher neighbour unless it lies at the border.
    """
    height, width = heat.shape[1:]
    found = np.zeros((len(heat), 3), np.float32)
    for joint, surface in enumerate(heat):
        y, x = divmod(int(surface.argmax()), width)
        score = float(surface[y, x])
        place = np.array([x, y], np.float64) * (score > 0)
        px, py = place.astype(int).tolist()
        if 1 < px < width - 1 and 1 < py < height - 1:
            place += 0.25 * np.sign(
                [surface[py, px + 1] - surface[py, px - 1], surface[py + 1, px] - surface[py - 1, px]]
            )
        found[joint] = *(place * [size[1] / width, size[0] / height]), score
    return found

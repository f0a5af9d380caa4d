"""GluonCV's segmentation nets with any number of classes, rebuilt around a file of their weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from export.errors import ExportError, SourceError
from export.source import load_params
from export.zoo.runtime import gluoncv, mxnet, quiet

__all__ = ["save_segmentation"]

_MODELS: Final = {"fcn": "FCN", "psp": "PSPNet", "deeplab": "DeepLabV3"}
_BACKBONES: Final = ("resnet50", "resnet101")


def save_segmentation(
    algorithm: str, weights: Path, *, backbone: str, classes: int, crop: int, out_dir: Path
) -> tuple[Path, Path]:
    """Build the net, load the weights, and save it as symbol and params.

    Args:
        algorithm: `fcn`, `psp` or `deeplab`.
        weights: as `net.save_parameters` writes them.
        backbone: `resnet50` or `resnet101`.
        classes: how many, the background included.
        crop: height and width of the input, pixels.
        out_dir: gets `segmentation-symbol.json` and `segmentation-0000.params`.

    Raises:
        SourceError: the algorithm or backbone is not known, or the weights do not fit.
        ExportError: MXNet or GluonCV is not installed.
    """
    if algorithm not in _MODELS or backbone not in _BACKBONES:
        raise SourceError(
            f"{weights}: algorithm {algorithm!r} with backbone {backbone!r}; known: {', '.join(_MODELS)} with "
            f"{', '.join(_BACKBONES)}"
        )
    names = load_params(weights)
    try:
        mx, model = mxnet(), getattr(gluoncv().model_zoo, _MODELS[algorithm])
    except ExportError as exc:
        raise ExportError(f"{weights}: these weights come without a graph, so the net must be built: {exc}") from exc
    with quiet():
        net = model(
            classes,
            backbone=backbone,
            pretrained_base=False,
            aux=any(name.startswith("auxlayer") for name in names),
            crop_size=crop,
        )
        _load(net, weights, mx)
        net.hybridize()
        net(mx.nd.zeros((1, 3, crop, crop)))
        prefix = out_dir / "segmentation"
        net.export(str(prefix), epoch=0)
    return Path(f"{prefix}-symbol.json"), Path(f"{prefix}-0000.params")


def _load(net: Any, weights: Path, mx: Any) -> None:
    try:
        net.load_parameters(str(weights))
    except (AssertionError, ValueError, KeyError, mx.MXNetError) as exc:
        line = str(exc).strip().splitlines()[0][:300]
        raise SourceError(
            f"{weights}: the weights do not fit the net that the hyperparameters describe: {line}"
        ) from exc

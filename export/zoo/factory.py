"""GluonCV's factories, each with the arguments that it takes, and kept from downloading."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Final

from export.errors import ExportError
from export.zoo.runtime import gluoncv, mxnet
from export.zoo.table import ZooNet

__all__ = ["construct", "limit_regions"]

# Arguments that not every factory takes.
_OPTIONAL: Final = ("pretrained_base", "pretrained", "height", "width", "crop_size")
# These tell no classes apart.
_NAMELESS: Final = {"depth", "tracking"}
# What GluonCV's segmentation nets answer in unless told otherwise.
_CROP: Final = 480
# The R-CNNs for one's own classes leave all of this to the caller; GluonCV's own pyramids are made with it.
_PYRAMID: Final[Mapping[str, Any]] = {
    "min_stage": 2, "max_stage": 6, "roi_mode": "align", "strides": (4, 8, 16, 32, 64), "base_size": 16,
    "scales": (2, 4, 8, 16, 32), "ratios": (0.5, 1, 2), "alloc_size": (384, 384), "rpn_nms_thresh": 0.7,
    "rpn_test_pre_nms": 6000, "rpn_test_post_nms": 1000, "rpn_min_size": 1, "nms_thresh": 0.5, "nms_topk": -1,
    "post_nms": -1, "short": 800, "max_size": 1333, "roi_size": (14, 14),
}  # fmt: skip
_RCNN: Final = "gluoncv.model_zoo.rcnn"
_OWN_CLASSES: Final = {
    "custom_faster_rcnn_fpn": (f"{_RCNN}.faster_rcnn.faster_rcnn", {**_PYRAMID, "clip": 4.14}),
    "custom_mask_rcnn_fpn": (
        f"{_RCNN}.mask_rcnn.mask_rcnn",
        {**_PYRAMID, "clip": 4.42, "target_roi_scale": 2, "num_fcn_convs": 2},
    ),
}


def construct(entry: ZooNet, size: tuple[int, int], classes: Sequence[str] | None, options: Mapping[str, Any]) -> Any:
    """The net as GluonCV builds it, without any weights.

    Args:
        entry: which.
        size: height and width of the pictures, pixels.
        classes: the user's own, for nets that take them.
        options: more arguments for GluonCV's factory.

    Raises:
        ExportError: GluonCV cannot build it; the message says why.
    """
    factory, settings = _factory(entry.name)
    arguments: dict[str, Any] = {"pretrained": False, "pretrained_base": False, **settings, **options}
    if classes is not None or (entry.classes is None and entry.task not in _NAMELESS):
        if classes is None:
            raise ExportError(f"{entry.name} needs the names of your classes: --labels a,b,c")
        arguments["classes"] = list(classes) if entry.task in {"detection", "instances"} else len(classes)
    if entry.task == "action" and entry.classes is None:
        # Else they begin with the published weights of their siblings.
        arguments |= {"use_kinetics_pretrain": False, "nclass": arguments.pop("classes")}
    if entry.task == "segmentation" and size != (_CROP, _CROP):
        arguments |= {"height": size[0], "width": size[1], "crop_size": max(size)}
    # The factories differ in what they take, and some pass on what they don't know to blocks that refuse it.
    while True:
        try:
            with _nothing_fetched():
                return factory(**arguments)
        except (TypeError, Warning) as exc:  # noqa: PERF203 - each round drops one argument
            # Darknet raises a Warning, which does not say what it refuses.
            named = re.search(r"unexpected keyword argument '(\w+)'", str(exc))
            refused = named.group(1) if named else next((key for key in _OPTIONAL if key in arguments), "")
            if refused not in _OPTIONAL or refused not in arguments:
                raise ExportError(f"GluonCV cannot build {entry.name}: {exc}") from exc
            del arguments[refused]
        except (OSError, ValueError, RuntimeError, UnboundLocalError) as exc:
            raise ExportError(f"GluonCV cannot build {entry.name} without published weights: {exc}") from exc


def limit_regions(net: Any, regions: int) -> None:
    """Let a net of two stages look at `regions` regions a picture at most.

    That is what `rpn_test_post_nms` and `rcnn_max_dets` set, which most factories fix: slices, none of them a weight.
    """
    for block, name in (
        (net, "_rpn_test_post_nms"),
        (getattr(net, "rpn", None), "_test_post_nms"),
        (net, "_rcnn_max_dets"),
    ):
        if hasattr(block, name):
            setattr(block, name, min(getattr(block, name), regions))


def _factory(name: str) -> tuple[Callable[..., Any], Mapping[str, Any]]:
    cv = gluoncv()
    if name not in _OWN_CLASSES:
        return functools.partial(cv.model_zoo.get_model, name), {}
    # Under the first of these names GluonCV's list holds a DoubleHead with a branch missing, which cannot run.
    module, settings = _OWN_CLASSES[name]
    return getattr(import_module(module), name), settings


@contextmanager
def _nothing_fetched() -> Iterator[None]:
    """Some factories fetch weights of their base net whatever they are told, or move weights that are not there yet.

    What they would load is overwritten afterwards; a factory that computes with it fails here.
    """
    from gluoncv.model_zoo import model_store

    mx = mxnet()
    block, parameter = mx.gluon.Block, mx.gluon.Parameter
    before = block.load_parameters, parameter.reset_ctx, model_store.get_model_file

    def move(self: Any, ctx: Any) -> None:
        if self._data is not None or self._deferred_init:  # there is no public way to ask
            before[1](self, ctx)

    block.load_parameters = lambda *_args, **_options: None
    parameter.reset_ctx = move
    model_store.get_model_file = lambda *_args, **_options: ""
    try:
        yield
    finally:
        block.load_parameters, parameter.reset_ctx, model_store.get_model_file = before

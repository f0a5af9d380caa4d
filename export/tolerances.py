"""How far results may differ from MXNet's, and why: the one place where such numbers stand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["BOX", "GOLDEN", "LAYERS", "LAYER_DEFAULT", "OUTPUTS", "SCORE", "Tolerance"]


@dataclass(frozen=True, slots=True)
class Tolerance:
    """Allowed: `absolute` + `relative` times the largest magnitude of the reference."""

    absolute: float
    relative: float
    reason: str

    def allowed(self, magnitude: float) -> float:
        """The largest difference that passes for a reference of this magnitude."""
        return self.absolute + self.relative * magnitude


# End to end, on the results that a device gives.
SCORE: Final = Tolerance(1e-4, 0, "float32 sums in another order through the whole net, then a softmax or sigmoid")
BOX: Final = Tolerance(0.05, 1e-5, "a twentieth of a pixel; very large boxes have fewer digits behind the point")
OUTPUTS: Final = {
    "scores": SCORE,
    "boxes": BOX,
    "labels": Tolerance(0, 0, "a class is right or wrong"),
    "masks": Tolerance(1e-4, 0, "a probability a pixel, after two more convolutions"),
    "mask": Tolerance(
        1e-4, 1e-5, "the class taken may score this much less than the best: rounding decides at borders"
    ),
    "keypoints": Tolerance(1e-4, 1e-4, "the peak's value, after a whole net in float32"),
    "places": Tolerance(1e-3, 0, "a cell is right or wrong; its place in pixels is a product in float32"),
    "raw": Tolerance(1e-5, 1e-4, "any numbers a net may give, relative to the largest"),
    "count": Tolerance(0, 0, "rows at the edge of the score limit are set aside before counting"),
}

# The golden sample, on whatever kernels a device has: see docs/bundles.md for the rule, benchmarks/results/kernels.json
# for what was measured. Score, pixels of the picture, share of a mask's pixels.
GOLDEN: Final = {
    "fp32": {"score": 0.01, "box_px": 0.5, "pixels": 0.02},
    "fp16": {"score": 0.025, "box_px": 0.5, "pixels": 0.02},
    "int8": {"score": 0.1, "box_px": 15.0, "pixels": 0.08},
}

# Layer by layer, each fed with the reference's own inputs.
LAYER_DEFAULT: Final = Tolerance(1e-6, 1e-5, "one operation in float32, a few roundings")
_MOVES: Final = Tolerance(0, 0, "elements are moved, not computed")
_SUMS: Final = Tolerance(1e-5, 1e-5, "a sum of thousands of products, in another order")
LAYERS: Final = {
    "Convolution": _SUMS,
    "Deconvolution": _SUMS,
    "FullyConnected": _SUMS,
    "batch_dot": _SUMS,
    "dot": _SUMS,
    "_linalg_gemm2": _SUMS,
    "RNN": Tolerance(1e-5, 1e-5, "a sum of products a step, and each step goes on from the one before"),
    "BilinearSampler": Tolerance(1e-4, 1e-4, "sampling positions in float32 between pixels"),
    "SpatialTransformer": Tolerance(1e-4, 1e-4, "sampling positions in float32 between pixels"),
    "_contrib_ModulatedDeformableConvolution": Tolerance(1e-4, 1e-4, "sampling positions in float32 between pixels"),
    "_contrib_DeformableConvolution": Tolerance(1e-4, 1e-4, "sampling positions in float32 between pixels"),
    "_contrib_box_decode": Tolerance(1e-4, 1e-5, "an exponential times an anchor, in pixels"),
    "BatchNorm": Tolerance(1e-5, 1e-5, "the inverse deviation is rounded at another point"),
    "_contrib_SyncBatchNorm": Tolerance(1e-5, 1e-5, "the inverse deviation is rounded at another point"),
    **dict.fromkeys(
        (
            "transpose", "Reshape", "Flatten", "Concat", "slice_axis", "slice_like", "slice", "expand_dims",
            "squeeze", "tile", "repeat", "stack", "SliceChannel", "SwapAxis", "zeros_like", "ones_like", "where",
            "shape_array", "BlockGrad", "Dropout", "reverse", "gather_nd", "take", "broadcast_axis",
        ),
        _MOVES,
    ),
}  # fmt: skip

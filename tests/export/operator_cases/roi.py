"""As `export/ops/roi.py`."""

import numpy as np
from operator_runs import Case

from operator_cases.drawn import X, boxes, normal, positive, whole

ROIS = np.concatenate([whole(0, 2, 6, 1), boxes(6)], -1).astype(np.float32)
CASES = [
    *[
        Case(
            "_contrib_ROIAlign",
            (normal(2, 3, 20, 25), ROIS),
            {"pooled_size": "(3, 4)", "spatial_scale": 0.25, **attrs},
            dynamic=False,
        )
        for attrs in ({"sample_ratio": 2}, {"sample_ratio": -1}, {"sample_ratio": 2, "aligned": "True"})
    ],
    Case(
        "_contrib_ModulatedDeformableConvolution",
        (X, normal(3, 18, 9, 11), positive(3, 9, 9, 11), normal(6, 4, 3, 3), normal(6)),
        {"kernel": "(3, 3)", "num_filter": 6, "pad": "(1, 1)", "im2col_step": 64},
        (3, 4),
    ),
    Case(
        "_contrib_ModulatedDeformableConvolution",
        (X, normal(3, 36, 5, 6), positive(3, 18, 5, 6), normal(6, 4, 3, 3)),
        {
            "kernel": "(3, 3)",
            "num_filter": 6,
            "pad": "(1, 1)",
            "stride": "(2, 2)",
            "num_deformable_group": 2,
            "no_bias": "True",
        },
        (3,),
    ),
    Case(
        "_contrib_DeformableConvolution",
        (X, normal(3, 18, 7, 9), normal(6, 4, 3, 3), normal(6)),
        {"kernel": "(3, 3)", "num_filter": 6, "layout": "NCHW"},
        (2, 3),
    ),
    Case("ROIPooling", (normal(2, 3, 20, 25), ROIS), {"pooled_size": "(3, 4)", "spatial_scale": 0.25}, dynamic=False),
]  # fmt: skip

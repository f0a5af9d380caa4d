"""As `export/ops/sampling.py`."""

import numpy as np
from operator_runs import Case

from operator_cases.drawn import X, normal

# Nearly the identity, so that most of what is looked at lies inside.
MATRIX = (np.float32([1, 0, 0, 0, 1, 0]) + normal(3, 6) / 5).astype(np.float32)
GRID = np.clip(normal(3, 2, 6, 7) / 1.5, -1.5, 1.5).astype(np.float32)
CASES = [
    Case("GridGenerator", (MATRIX,), {"transform_type": "affine", "target_shape": "(5, 7)"}),
    Case("GridGenerator", (normal(3, 2, 5, 7),), {"transform_type": "warp"}),
    Case("BilinearSampler", (X, GRID), {}, atol=1e-4),
    *[
        Case(
            "SpatialTransformer",
            (X, MATRIX),
            {"transform_type": "affine", "sampler_type": "bilinear", **attrs},
            atol=1e-4,
        )
        for attrs in ({"target_shape": "(6, 5)"}, {"target_shape": "(9, 11)"})
    ],
]

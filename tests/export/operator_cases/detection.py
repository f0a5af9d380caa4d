"""As `export/ops/detection.py`."""

import numpy as np
from operator_runs import Case

from operator_cases.drawn import boxes, normal, rows

ANCHORS = boxes(1, 20)
CASES = [
    Case(
        "_contrib_box_decode", (normal(3, 20, 4), ANCHORS), {"std0": 0.1, "std1": 0.1, "std2": 0.2, "std3": 0.2}, (1,)
    ),
    Case("_contrib_box_decode", (normal(3, 20, 4), ANCHORS), {"format": "corner", "clip": 0.5}, (1,)),
    *[
        Case("_contrib_box_nms", (rows(3, 40, 3),), {"id_index": 0, "overlap_thresh": 0.3, **attrs})
        for attrs in (
            {},
            {"topk": 10},
            {"topk": 0},
            {"valid_thresh": 0.4, "topk": 30},
            {"force_suppress": "True"},
            {"background_id": 1},
            {"valid_thresh": 2},
        )
    ],
    Case("_contrib_box_nms", (rows(3, 40, 3),), {"topk": 20, "in_format": "center", "out_format": "center"}),
    Case("_contrib_box_nms", (rows(1, 40, 3)[0][:, 1:],), {"coord_start": 1, "score_index": 0}, dynamic=False),
    Case("_contrib_box_non_maximum_suppression", (rows(3, 12, 3),), {"id_index": 0}),
    *[
        Case("_contrib_MultiBoxPrior", (normal(1, 3, 5, 7),), attrs, dynamic=False)
        for attrs in (
            {},
            {"sizes": "(0.3, 0.4)", "ratios": "(1, 2, 0.5)"},
            {"sizes": "(0.3, 0.5)", "ratios": "(0.5, 2)"},
            {"sizes": "(0.3,)", "clip": "True", "steps": "(0.2, 0.1)", "offsets": "(0.4, 0.6)"},
        )
    ],
    *[
        Case(
            "_contrib_MultiBoxDetection",
            (np.exp(normal(3, 4, 20)), normal(3, 80), boxes(1, 20) / 100),
            {"threshold": 0.5, **attrs},
            (2,),
        )
        for attrs in ({}, {"nms_topk": 9}, {"force_suppress": "True", "clip": "False", "nms_threshold": 0.2})
    ],
]  # fmt: skip

"""As `export/ops/resize.py`."""

from operator_runs import Case

from operator_cases.drawn import X, normal

CASES = [
    Case("UpSampling", (X,), {"scale": 2, "sample_type": "nearest", "num_args": 1}),
    Case(
        "UpSampling",
        (X, normal(4, 1, 4, 4)),
        {"scale": 2, "sample_type": "bilinear", "num_args": 2, "num_filter": 4},
        (1,),
    ),
    *[
        Case("_contrib_BilinearResize2D", (X,), attrs)
        for attrs in (
            {"height": 18, "width": 22},
            {"height": 5, "width": 7},
            {"height": 18, "width": 22, "align_corners": "False"},
            {"height": 5, "width": 20, "align_corners": "False"},
            {"height": 9, "width": 11},
            {"mode": "odd_scale", "scale_height": 2, "scale_width": 2},
            {"mode": "to_even_up"},
            {"mode": "to_odd_down"},
        )
    ],
    Case("_contrib_BilinearResize2D", (normal(3, 4, 1, 1),), {"height": 6, "width": 5}),
    Case("_contrib_BilinearResize2D", (X, normal(3, 1, 12, 13)), {"mode": "like"}),
]  # fmt: skip

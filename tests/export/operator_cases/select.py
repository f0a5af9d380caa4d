"""As `export/ops/select.py`."""

from operator_runs import Case

from operator_cases.drawn import X, normal, whole

CASES = [
    Case("SliceChannel", (X,), {"num_outputs": 2}),
    Case("SliceChannel", (X,), {"num_outputs": 4, "squeeze_axis": "True"}),
    Case("split", (X,), {"num_outputs": 3, "axis": 2}),
    *[
        Case("slice_axis", (X,), {"axis": axis, "begin": begin, "end": end})
        for axis, begin, end in ((1, 0, 2), (-1, 1, "None"), (2, -4, -1), (3, 0, 11))
    ],
    Case("slice", (X,), {"begin": "(None, 1)", "end": "(None, 3)"}),
    Case("slice", (X,), {"begin": "(0, 3, 1)", "end": "(None, None, 8)", "step": "(None, -1, 2)"}),
    Case("crop", (X,), {"begin": "(0, 1)", "end": "(None, 3)"}),
    Case("slice_like", (normal(1, 1, 20, 30), X), {"axes": "(2, 3)"}, (0,), dynamic=False),
    Case("slice_like", (normal(3, 6, 20, 30), X), {}),
    Case("slice_like", (normal(20), X), {"axes": "0"}, (0,)),
    Case("reverse", (X,), {"axis": "(1,)"}),
    Case("flip", (X,), {"axis": "(1, 3)"}),
    Case("Crop", (X, normal(3, 4, 5, 6)), {"num_args": 2, "offset": "(2, 3)"}),
    Case("Crop", (X,), {"num_args": 1, "h_w": "(4, 5)", "center_crop": "True"}),
    Case("take", (X, whole(-2, 9, 5)), {"axis": 1}, (1,)),
    Case("take", (normal(9, 4), whole(0, 9, 3, 2)), {"mode": "clip"}, (0,)),
    Case("gather_nd", (normal(4, 5, 6), whole(0, 4, 2, 3)), {}, dynamic=False),
    Case("_split_v2", (normal(3, 6),), {"indices": "(0, 2, 3)", "axis": 1}),
    Case("_split_v2", (normal(3, 6),), {"sections": 3, "indices": "()", "axis": 1}),
    Case("_split_v2", (normal(3, 2, 5),), {"sections": 2, "indices": "()", "axis": 1, "squeeze_axis": "True"}),
]  # fmt: skip

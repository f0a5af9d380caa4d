"""As `export/ops/shape.py`."""

from operator_runs import Case

from operator_cases.drawn import X, Y, normal

CASES = [
    *[Case(op, (X,)) for op in ("Flatten", "flatten", "shape_array")],
    *[
        Case("Reshape", (normal(3, 4, 6, 10),), {"shape": shape})
        for shape in ("(0, -1)", "(0, 24, 10)", "(0, -3, 0)", "(0, 0, -4, 2, 3, 0)", "(0, -4, -1, 2, -2)", "(-1, 24, 10)",
                      "(-3, 0, 0)", "(0, 0, 0, 0)", "(-2,)", "(0, 2, -1, 2)", "(-1,)")
    ],
    Case("Reshape", (normal(3, 4, 6, 10),), {"shape": "(-1, 0)", "reverse": "True"}),
    Case("reshape", (normal(3, 8),), {"shape": "(0, 2, 4)"}),
    Case("reshape_like", (normal(3, 8), normal(3, 2, 4))),
    Case(
        "reshape_like",
        (normal(3, 4, 30), normal(3, 7, 5, 6)),
        {"lhs_begin": 2, "lhs_end": 3, "rhs_begin": 2, "rhs_end": 4},
    ),
    Case("reshape_like", (normal(3, 4, 30), normal(3, 2, 2)), {"lhs_begin": 1, "lhs_end": 2, "rhs_begin": 1}),
    *[Case("expand_dims", (normal(3, 8),), {"axis": axis}) for axis in (0, 1, -1)],
    Case("squeeze", (normal(3, 1, 8, 1),), {"axis": "(1, 3)"}),
    Case("squeeze", (normal(3, 1, 8, 1),), {"axis": "-1"}),
    Case("squeeze", (normal(3, 1, 8, 1),), {}),
    Case("transpose", (X,), {"axes": "(0, 2, 3, 1)"}),
    Case("transpose", (X,), {}),
    Case("SwapAxis", (X,), {"dim1": 1, "dim2": 3}),
    Case("swapaxes", (X,), {"dim1": 2, "dim2": 3}),
    Case("Concat", (X, Y), {"dim": 1, "num_args": 2}),
    Case("Concat", (X, Y), {"dim": -1, "num_args": 2}),
    Case("concat", (X,), {"num_args": 1}),
    Case("stack", (X, Y), {"axis": 1, "num_args": 2}),
    Case("stack", (X, Y), {"axis": -1, "num_args": 2}),
    Case("tile", (normal(3, 4),), {"reps": "(1, 3)"}),
    Case("tile", (normal(3, 4),), {"reps": "(3,)"}),
    Case("tile", (normal(3, 4),), {"reps": "(2, 1, 3)"}),
    Case("repeat", (X,), {"repeats": 2, "axis": -1}),
    Case("repeat", (X,), {"repeats": 3, "axis": -2}),
    Case("repeat", (X,), {"repeats": 3, "axis": 1}),
    Case("repeat", (normal(3, 4),), {"repeats": 3}),
    Case("broadcast_axis", (normal(3, 1, 5),), {"axis": "(1,)", "size": "(4,)"}),
    Case("broadcast_axes", (normal(3, 1, 1),), {"axis": "(1, 2)", "size": "(4, 5)"}),
    Case("broadcast_to", (normal(3, 1, 5),), {"shape": "(0, 4, 5)"}),
    Case("broadcast_like", (normal(3, 1, 5), normal(3, 4, 5))),
    Case("broadcast_like", (normal(3, 1, 5), normal(3, 6, 4)), {"lhs_axes": "(1,)", "rhs_axes": "(2,)"}),
    Case("Pad", (X,), {"mode": "constant", "pad_width": "(0, 0, 0, 0, 1, 2, 3, 0)", "constant_value": 0.5}),
    *[Case("Pad", (X,), {"mode": m, "pad_width": "(0, 0, 0, 0, 1, 2, 3, 1)"}) for m in ("edge", "reflect")],
    Case("pad", (X,), {"mode": "edge", "pad_width": "(0, 0, 0, 0, 1, 2, 3, 1)"}),
    Case("depth_to_space", (normal(3, 8, 4, 5),), {"block_size": 2}),
    Case("space_to_depth", (normal(3, 2, 4, 6),), {"block_size": 2}),
]  # fmt: skip

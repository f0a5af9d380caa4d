"""As `export/ops/numpy_interface.py`, and the names that `mx.np` has for what `elementwise.py` does."""

from operator_runs import Case

from operator_cases.drawn import X, distinct, normal, positive, whole

# fmt: off
FUNCTIONS = (
    "absolute", "negative", "reciprocal", "sign", "rint", "ceil", "floor", "trunc", "fix", "square", "sqrt", "exp",
    "expm1", "log", "log10", "log2", "log1p", "sin", "cos", "tan", "arcsin", "arccos", "arctan", "sinh", "cosh",
    "tanh", "arcsinh", "arctanh",
)
SCALARS = (
    "add", "subtract", "rsubtract", "multiply", "true_divide", "rtrue_divide", "power", "rpower", "mod", "rmod",
)
# fmt: on
COMPARISONS = ("equal", "not_equal", "greater", "greater_equal", "less", "less_equal")
CASES = [
    *[Case(f"_npi_{name}", (positive(3, 4) * 0.4,)) for name in FUNCTIONS],
    *[Case(op, (normal(3, 4),)) for op in ("_npx_relu", "_npx_sigmoid", "_np_copy")],
    Case("_npi_arccosh", (positive(3, 4) + 1,)),
    *[
        Case(f"_npi_{name}", (positive(3, 4, 5), positive(1, 4, 1)), {}, (1,))
        for name in ("add", "subtract", "multiply", "true_divide", "power", "mod")
    ],
    *[Case(f"_npi_{name}_scalar", (positive(3, 4),), {"scalar": "1.75", "is_int": "False"}) for name in SCALARS],
    *[Case(f"_npi_{name}", (whole(0, 3, 3, 4), whole(0, 3, 3, 4))) for name in COMPARISONS],
    *[Case(f"_npi_{name}_scalar", (whole(0, 3, 3, 4),), {"scalar": "1.0"}) for name in COMPARISONS],
    *[
        Case(op, (positive(3, 4, 5),), attrs)
        for op in ("_npi_mean", "_np_sum", "_np_max", "_np_min", "_np_prod", "_npi_var", "_npi_std")
        for attrs in ({"axis": "1"}, {"axis": "(1, 2)", "keepdims": "True"}, {"axis": "None"})
        if op not in {"_np_max", "_np_min"} or attrs["axis"] != "None"
    ],
    *[Case(op, (distinct(3, 4, 5),), {"axis": axis}) for op in ("_npi_argmax", "_npi_argmin") for axis in (1, -1)],
    Case("_npi_where", (whole(0, 2, 3, 4), normal(3, 1), normal(3, 4))),
    Case("_npi_concatenate", (X, X + 1), {"axis": 1, "num_args": 2}),
    Case("_npi_stack", (X, X + 1), {"axis": -1, "num_args": 2}),
    Case("_np_transpose", (X,), {"axes": "(0, 2, 3, 1)"}),
    Case("_np_transpose", (X,), {"axes": "None"}),
    *[Case("_np_reshape", (normal(3, 4, 6),), {"newshape": shape}) for shape in ("(-1, 24)", "(-1,)", "(-1, 2, 12)")],
    *[
        Case("_npx_reshape", (normal(3, 4, 6, 10),), {"newshape": shape})
        for shape in ("(-2, -1)", "(-2, -5, -2)", "(-2, -2, -6, 2, 3, -2)", "(-2, -4)")
    ],
    Case("_np_squeeze", (normal(3, 1, 8, 1),), {"axis": "(1, 3)"}),
    Case("_np_squeeze", (normal(3, 1, 8, 1),), {"axis": "None"}),
    Case("_npi_matmul", (normal(3, 4, 5), normal(3, 5, 6))),
    Case("_np_dot", (normal(3, 5), normal(5, 6)), {}, (1,)),
    Case("_npi_broadcast_to", (normal(3, 1, 5),), {"shape": "(3, 4, 5)"}, dynamic=False),
]

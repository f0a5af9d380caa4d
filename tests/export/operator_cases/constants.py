"""As `export/ops/constants.py`."""

from operator_runs import Case

from operator_cases.drawn import X, normal

CASES = [
    Case("zeros_like", (X,)),
    Case("ones_like", (X,)),
    Case("zeros_like", (X,), dynamic=False),
    Case("_zeros", (), {"shape": "(2, 3)", "dtype": "float32"}),
    Case("_ones", (), {"shape": "(2, 3)", "dtype": "int32"}),
    Case("_full", (), {"shape": "(2, 3)", "value": 1.5}),
    *[
        Case("_arange", (), attrs)
        for attrs in (
            {"start": 5},
            {"start": 1, "stop": "7.0", "step": 1.5},
            {"start": 0, "stop": 4, "repeat": 3, "dtype": "int32"},
            {"start": 2, "stop": "None", "step": "1.0", "infer_range": "False"},
        )
    ],
    Case("_contrib_arange_like", (normal(3, 7),), {"axis": 1}),
]  # fmt: skip

"""As `export/ops/pooling.py`."""

from operator_runs import Case

from operator_cases.drawn import X, normal, positive

CASES = [
    *[
        Case(
            "Pooling",
            (X,),
            {
                "kernel": kernel, "stride": stride, "pad": pad, "pool_type": kind, "pooling_convention": convention,
                "count_include_pad": counts,
            },
        )
        for kernel, stride, pad in (("(3, 3)", "(2, 2)", "(1, 1)"), ("(2, 3)", "(2, 1)", "(0, 1)"), ("(2, 2)", "(2, 2)", "(0, 0)"))
        for kind in ("max", "avg", "sum")
        for convention in ("valid", "full")
        for counts in (("True", "False") if kind == "avg" else ("True",))
    ],
    *[
        Case("Pooling", (X,), {"kernel": "(1, 1)", "global_pool": "True", "pool_type": k})
        for k in ("max", "avg", "sum")
    ],
    Case(
        "Pooling", (positive(3, 4, 9, 11),), {"kernel": "(3, 3)", "stride": "(2, 2)", "pool_type": "lp", "p_value": 2}
    ),
    Case("Pooling", (X,), {"kernel": "(3, 3)"}),
    Case("Pooling", (normal(3, 4, 9),), {"kernel": "(3,)", "stride": "(2,)", "pool_type": "avg"}),
    Case("Pooling", (normal(3, 4, 5, 6, 7),), {"kernel": "(2, 3, 2)", "stride": "(2, 2, 2)", "pool_type": "max"}),
    Case("Pooling_v1", (X,), {"kernel": "(3, 3)", "stride": "(2, 2)", "pooling_convention": "valid"}),
    *[
        Case("_contrib_AdaptiveAvgPooling2D", (X,), attrs)
        for attrs in (
            {},
            {"output_size": "(1,)"},
            {"output_size": "(3, 4)"},
            {"output_size": "(3, 11)"},
            {"output_size": "(9, 11)"},
        )
    ],
    Case("_contrib_AdaptiveAvgPooling2D", (normal(2, 3, 8, 12),), {"output_size": "(4, 6)"}),
]  # fmt: skip

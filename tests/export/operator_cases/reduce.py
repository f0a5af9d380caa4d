"""As `export/ops/reduce.py`."""

from operator_runs import Case

from operator_cases.drawn import distinct, normal, positive, whole

CASES = [
    *[
        Case(op, (positive(3, 4, 5, 2),), attrs)
        for op in ("mean", "sum", "max", "min", "prod")
        for attrs in ({"axis": "1"}, {"axis": "(2, 3)", "keepdims": "True"}, {"axis": "(0, 1)", "exclude": "True"})
    ],
    *[Case(op, (positive(3, 4, 5),), {"axis": "(2,)"}) for op in ("sum_axis", "max_axis", "min_axis")],
    Case("sum", (positive(3, 4),), {}),
    *[Case("norm", (normal(3, 4, 5),), {"axis": "2", "ord": o, "keepdims": "True"}) for o in (1, 2)],
    *[Case(op, (distinct(3, 4, 5),), {"axis": a}) for op in ("argmax", "argmin") for a in (1, -1)],
    Case("argmax", (distinct(3, 4, 5),), {"axis": 1, "keepdims": "True"}),
    Case("argmax_channel", (distinct(3, 6),)),
    Case("pick", (normal(3, 4, 5), whole(0, 5, 3, 4)), {}),
    Case("pick", (normal(3, 4, 5), whole(0, 4, 3, 5)), {"axis": 1, "keepdims": "True"}),
    Case("one_hot", (whole(0, 5, 3, 4),), {"depth": 5}),
    Case("one_hot", (whole(0, 5, 3),), {"depth": 5, "on_value": 2, "off_value": -1}),
    Case("argmax", (distinct(7),), {"axis": 0}, dynamic=False),
    Case("norm", (normal(3, 4),), {}),
    Case("moments", (normal(3, 4, 5),), {"axes": "(2,)"}),
    Case("moments", (normal(3, 4, 5),), {"axes": "(1, 2)", "keepdims": "True"}),
    *[Case(op, (normal(3, 4, 5),), {"axis": axis}) for op in ("_np_cumsum", "cumsum") for axis in (1, 2)],
]  # fmt: skip

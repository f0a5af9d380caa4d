"""As `export/ops/ordering.py`."""

from operator_runs import Case

from operator_cases.drawn import distinct

CASES = [
    *[Case("topk", (distinct(3, 8),), {"k": 3, "ret_typ": kind}) for kind in ("indices", "value", "both")],
    Case("topk", (distinct(3, 8),), {"k": 2, "is_ascend": "True", "axis": -1, "dtype": "int32"}),
    Case("topk", (distinct(3, 8, 2),), {"k": 0, "axis": 1, "ret_typ": "value"}),
    Case("argsort", (distinct(3, 8),), {}),
    Case("argsort", (distinct(3, 8),), {"is_ascend": "False", "dtype": "int32"}),
    Case("sort", (distinct(3, 8),), {}),
    Case("sort", (distinct(3, 8, 2),), {"axis": 1, "is_ascend": "0"}),
]  # fmt: skip

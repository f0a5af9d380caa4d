"""As `export/ops/normalize.py`."""

from operator_runs import Case

from operator_cases.drawn import X, normal, positive

CASES = [
    *[Case("L2Normalization", (X,), {"mode": mode, "eps": 1e-5}) for mode in ("instance", "channel", "spatial")],
    Case("L2Normalization", (X,), {}),
    Case("LRN", (X,), {"nsize": 3}),
    Case("LRN", (X,), {"nsize": 3, "alpha": 1e-3, "beta": 0.5, "knorm": 1}),
    Case("InstanceNorm", (X, positive(4), normal(4)), {"eps": 1e-4}, (1, 2)),
    Case("LayerNorm", (X, positive(11), normal(11)), {}, (1, 2)),
    Case("LayerNorm", (X, positive(4), normal(4)), {"axis": 1, "eps": 1e-3}, (1, 2)),
    Case("GroupNorm", (X, positive(4), normal(4)), {"num_groups": 4, "eps": 1e-4}, (1, 2)),
    Case("GroupNorm", (X, positive(2), normal(2)), {"num_groups": 2}, (1, 2)),
]  # fmt: skip

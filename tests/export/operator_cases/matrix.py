"""As `export/ops/matrix.py`."""

from operator_runs import Case

from operator_cases.drawn import normal

CASES = [
    Case("batch_dot", (normal(3, 4, 5), normal(3, 5, 6))),
    Case("batch_dot", (normal(3, 5, 4), normal(3, 6, 5)), {"transpose_a": "True", "transpose_b": "True"}),
    Case("dot", (normal(3, 5), normal(5, 6)), {}, (1,)),
    Case("dot", (normal(3, 5), normal(6, 5)), {"transpose_b": "True"}, (1,)),
    Case("dot", (normal(5), normal(5)), {}, dynamic=False),
    Case("_linalg_gemm2", (normal(3, 4, 5), normal(3, 6, 5)), {"transpose_b": "True", "alpha": 0.5}),
    Case("_linalg_gemm2", (normal(3, 5, 4), normal(3, 5, 6)), {"transpose_a": "True"}),
    Case("_contrib_div_sqrt_dim", (normal(3, 4, 6),)),
]  # fmt: skip

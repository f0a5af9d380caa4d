"""As `export/ops/elementwise.py`."""

import numpy as np
from operator_runs import Case

from operator_cases.drawn import X, Y, normal, positive, whole

CASES = [
    *[
        Case(op, (positive(3, 4, 5), positive(3, 4, 5)))
        for op in (
            "elemwise_add", "_plus", "_Plus", "elemwise_sub", "_minus", "_Minus", "elemwise_mul", "_mul", "_Mul",
            "elemwise_div", "_div", "_Div", "_power", "_maximum", "_minimum", "_hypot", "_mod",
        )
    ],
    *[
        Case(op, (positive(3, 4, 5), positive(1, 4, 1)), {}, (1,))
        for op in (
            "broadcast_add", "broadcast_plus", "broadcast_sub", "broadcast_minus", "broadcast_mul", "broadcast_div",
            "broadcast_power", "broadcast_maximum", "broadcast_minimum", "broadcast_hypot", "broadcast_mod",
        )
    ],
    Case("broadcast_mod", (whole(-9, 9, 3, 8), whole(1, 5, 3, 8) * whole(-1, 2, 3, 8) + 0.5)),
    *[
        Case(f"{prefix}{name}", (whole(0, 3, 3, 4), whole(0, 3, 3, 4)))
        for prefix in ("broadcast_", "_")
        for name in ("equal", "not_equal", "greater", "greater_equal", "lesser", "lesser_equal")
    ],
    *[
        Case(f"_{name}_scalar", (whole(0, 3, 3, 4),), {"scalar": "1.0"})
        for name in ("equal", "not_equal", "greater", "greater_equal", "lesser", "lesser_equal")
    ],
    *[
        Case(op, (positive(3, 4),), {"scalar": "1.75"})
        for op in (
            "_plus_scalar", "_PlusScalar", "_minus_scalar", "_MinusScalar", "_rminus_scalar", "_RMinusScalar",
            "_mul_scalar", "_MulScalar", "_div_scalar", "_DivScalar", "_rdiv_scalar", "_RDivScalar", "_power_scalar",
            "_PowerScalar", "_rpower_scalar", "_maximum_scalar", "_MaximumScalar", "_minimum_scalar",
            "_MinimumScalar", "_mod_scalar", "_rmod_scalar",
        )
    ],
    *[Case(op, (positive(3, 4),), {"scalar": s}) for op, s in (("_mul_scalar", 1), ("_mul_scalar", 0), ("_plus_scalar", 0))],
    *[
        Case(op, (positive(3, 4) * 0.4,))
        for op in (
            "relu", "sigmoid", "tanh", "softsign", "exp", "log", "sqrt", "abs", "negative", "sign", "floor", "ceil",
            "reciprocal", "erf", "sin", "cos", "tan", "arcsin", "arccos", "arctan", "sinh", "cosh", "square", "rsqrt",
            "log2", "log10", "log1p", "expm1",
        )
    ],
    *[Case(op, (np.asarray([[-2.5, -1.5, -0.4, 0.5, 1.5, 2.6, 0.0]], np.float32),)) for op in ("round", "fix", "trunc")],
    Case("rint", (np.asarray([[-2.6, -0.4, 0.7, 1.2]], np.float32),)),
    *[Case(op, (X, Y, X + 1), {"num_args": 3}) for op in ("add_n", "ElementWiseSum")],
    Case("add_n", (X,), {"num_args": 1}),
    Case("clip", (X,), {"a_min": "-0.5", "a_max": "1e+38"}),
    Case("logical_not", (whole(0, 2, 3, 4),)),
    *[Case(f"broadcast_logical_{k}", (whole(0, 2, 3, 4), whole(0, 2, 3, 4))) for k in ("and", "or", "xor")],
    Case("where", (whole(0, 2, 3, 4), normal(3, 4), normal(3, 4))),
    Case("where", (whole(0, 2, 3), normal(3, 4), normal(3, 4))),
    *[Case(op, (X * 9,), {"dtype": dtype}) for op in ("Cast", "cast", "amp_cast") for dtype in ("float32", "float16")],
    Case("Cast", (X * 9,), {"dtype": "int32"}),
    *[Case(op, (positive(3, 4) * 0.4,)) for op in ("arcsinh", "arctanh")],
    Case("arccosh", (positive(3, 4) + 1,)),
    Case("amp_multicast", (normal(3, 4), normal(3, 4)), {"num_outputs": 2}),
]  # fmt: skip

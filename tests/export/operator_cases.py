"""For each operator the attributes and shapes that it is tested with."""

from __future__ import annotations

import numpy as np
from operator_runs import Case

random = np.random.default_rng(7)


def normal(*shape):
    return random.normal(0, 1, shape).astype(np.float32)


def positive(*shape):
    return random.uniform(0.2, 2, shape).astype(np.float32)


def whole(low, high, *shape):
    return random.integers(low, high, shape).astype(np.float32)


def distinct(*shape):
    return random.permutation(int(np.prod(shape))).reshape(shape).astype(np.float32) / 7


def boxes(*shape):
    corner = random.uniform(0, 60, (*shape, 2))
    size = random.uniform(5, 40, (*shape, 2))
    return np.concatenate([corner, corner + size], -1).astype(np.float32)


def rows(n, a, classes):
    """Rows (id, score, corners) whose scores are distinct."""
    scores = (distinct(n, a, 1) / (n * a / 7 + 1)).astype(np.float32)
    return np.concatenate([whole(0, classes, n, a, 1), scores, boxes(n, a)], -1).astype(np.float32)


X = normal(3, 4, 9, 11)

LAYERS = [
    Case("Convolution", (X, normal(6, 4, 3, 3), normal(6)), {"kernel": "(3, 3)", "num_filter": 6}, (1, 2)),
    Case("Convolution", (X, normal(6, 4, 3, 3), normal(6)), {"kernel": "(3L, 3L)", "num_filter": 6}, (1, 2)),
    Case(
        "Convolution",
        (X, normal(8, 2, 3, 2)),
        {
            "kernel": "(3, 2)", "num_filter": 8, "num_group": 2, "no_bias": "True", "stride": "(2, 1)",
            "pad": "(2, 1)", "dilate": "(2, 1)", "layout": "NCHW", "workspace": 1024,
        },
        (1,),
    ),
    Case("Convolution", (normal(3, 4, 9), normal(6, 4, 3), normal(6)), {"kernel": "(3,)", "num_filter": 6}, (1, 2)),
    Case(
        "Convolution",
        (normal(3, 2, 5, 6, 7), normal(3, 2, 3, 3, 3)),
        {"kernel": "(3, 3, 3)", "num_filter": 3, "no_bias": 1, "pad": "(1, 1, 1)"},
        (1,),
    ),
    Case("Convolution_v1", (X, normal(6, 4, 1, 1), normal(6)), {"kernel": "(1, 1)", "num_filter": 6}, (1, 2)),
    Case(
        "Deconvolution",
        (X, normal(4, 3, 4, 4)),
        {"kernel": "(4, 4)", "num_filter": 6, "num_group": 2, "stride": "(2, 2)", "pad": "(1, 1)"},
        (1,),
    ),
    Case(
        "Deconvolution",
        (X, normal(4, 6, 3, 3), normal(6)),
        {
            "kernel": "(3, 3)", "num_filter": 6, "stride": "(2, 2)", "pad": "(1, 1)", "adj": "(1, 1)",
            "no_bias": "False",
        },
        (1, 2),
    ),
    Case("FullyConnected", (X, normal(5, 396), normal(5)), {"num_hidden": 5}, (1, 2)),
    Case("FullyConnected", (normal(3, 8), normal(5, 8)), {"num_hidden": 5, "no_bias": "True"}, (1,)),
    Case("FullyConnected", (normal(3, 4, 8), normal(5, 8), normal(5)), {"num_hidden": 5, "flatten": "False"}, (1, 2)),
    *[
        Case(op, (X, positive(4), normal(4), normal(4), positive(4)), attrs, (1, 2, 3, 4))
        for op, attrs in [
            ("BatchNorm", {}),
            ("BatchNorm", {"fix_gamma": "False", "eps": "1e-05"}),
            ("BatchNorm", {"fix_gamma": "False", "eps": 0.02, "use_global_stats": "True", "momentum": 0.9}),
            ("_contrib_SyncBatchNorm", {"fix_gamma": "False", "eps": 1e-5, "ndev": 1, "key": "k"}),
            ("BatchNorm_v1", {"fix_gamma": "False"}),
        ]
    ],
    Case("BatchNorm", (normal(3, 5, 4), *(positive(4) for _ in range(4))), {"axis": 2}, (1, 2, 3, 4)),
    Case("Embedding", (whole(0, 9, 3, 4), normal(9, 5)), {"input_dim": 9, "output_dim": 5}, (1,)),
]  # fmt: skip

ACTIVATIONS = [
    *[Case("Activation", (X,), {"act_type": kind}) for kind in ("relu", "sigmoid", "tanh", "softrelu", "softsign")],
    *[Case("LeakyReLU", (X,), {"act_type": kind, "slope": 0.1}) for kind in ("leaky", "elu", "selu", "gelu")],
    Case("LeakyReLU", (X,), {}),
    Case("LeakyReLU", (X,), {"act_type": "rrelu", "lower_bound": 0.2, "upper_bound": 0.4}),
    Case("LeakyReLU", (X, positive(4)), {"act_type": "prelu"}, (1,)),
    Case("LeakyReLU", (X, positive(1)), {"act_type": "prelu"}, (1,)),
    *[
        Case(op, (X,))
        for op in ("BlockGrad", "_copy", "identity", "MakeLoss", "make_loss")
    ],
    Case("Dropout", (X,), {"p": 0.5, "axes": "()"}),
    *[Case(op, (X,), {"axis": axis}) for op in ("softmax", "log_softmax", "softmin") for axis in (-1, 1)],
    Case("softmax", (X,), {"temperature": "None", "dtype": "None", "use_length": "False"}),
    *[
        Case(op, (normal(3, 5), normal(3, 5)), {"grad_scale": 2}, (1,))
        for op in ("LinearRegressionOutput", "MAERegressionOutput", "LogisticRegressionOutput")
    ],
    Case("SoftmaxOutput", (normal(3, 5), whole(0, 4, 3)), {"grad_scale": 2, "normalization": "batch"}, (1,)),
    Case("SoftmaxOutput", (X, whole(0, 4, 3, 9, 11)), {"multi_output": "True", "use_ignore": "True"}, (1,)),
    Case("SoftmaxOutput", (X, whole(0, 4, 3, 4, 9)), {"preserve_shape": "True"}, (1,)),
    Case("SoftmaxOutput", (normal(3, 5), whole(0, 4, 3)), {}, (1,)),
    Case("Softmax", (normal(3, 5), whole(0, 4, 3)), {}, (1,)),
    Case("SoftmaxActivation", (normal(3, 5),), {}),
    Case("SoftmaxActivation", (X,), {"mode": "channel"}),
    Case("hard_sigmoid", (X * 3,), {}),
    Case("hard_sigmoid", (X * 3,), {"alpha": 0.3, "beta": 0.4}),
]  # fmt: skip

POOLING = [
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
]  # fmt: skip
POOLING += [
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
]

Y = normal(3, 4, 9, 11)
ROW = normal(1, 4, 1, 1)
ELEMENTWISE = [
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
]  # fmt: skip

SHAPE = [
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
    Case("tile", (normal(3, 4),), {"reps": "(1, 3)"}),
    Case("tile", (normal(3, 4),), {"reps": "(3,)"}),
    Case("tile", (normal(3, 4),), {"reps": "(2, 1, 3)"}),
    Case("repeat", (X,), {"repeats": 2, "axis": -1}),
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
    Case("Crop", (X, normal(3, 4, 5, 6)), {"num_args": 2, "offset": "(2, 3)"}),
    Case("Crop", (X,), {"num_args": 1, "h_w": "(4, 5)", "center_crop": "True"}),
    Case("take", (X, whole(-2, 9, 5)), {"axis": 1}, (1,)),
    Case("take", (normal(9, 4), whole(0, 9, 3, 2)), {"mode": "clip"}, (0,)),
    Case("gather_nd", (normal(4, 5, 6), whole(0, 4, 2, 3)), {}, dynamic=False),
]  # fmt: skip

REDUCE = [
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
    Case("batch_dot", (normal(3, 4, 5), normal(3, 5, 6))),
    Case("batch_dot", (normal(3, 5, 4), normal(3, 6, 5)), {"transpose_a": "True", "transpose_b": "True"}),
    Case("dot", (normal(3, 5), normal(5, 6)), {}, (1,)),
    Case("dot", (normal(3, 5), normal(6, 5)), {"transpose_b": "True"}, (1,)),
    Case("dot", (normal(5), normal(5)), {}, dynamic=False),
]

CONSTANTS = [
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
]

NORMALIZE = [
    *[Case("L2Normalization", (X,), {"mode": mode, "eps": 1e-5}) for mode in ("instance", "channel", "spatial")],
    Case("L2Normalization", (X,), {}),
    Case("LRN", (X,), {"nsize": 3}),
    Case("LRN", (X,), {"nsize": 3, "alpha": 1e-3, "beta": 0.5, "knorm": 1}),
    Case("InstanceNorm", (X, positive(4), normal(4)), {"eps": 1e-4}, (1, 2)),
    Case("LayerNorm", (X, positive(11), normal(11)), {}, (1, 2)),
    Case("LayerNorm", (X, positive(4), normal(4)), {"axis": 1, "eps": 1e-3}, (1, 2)),
    Case("GroupNorm", (X, positive(4), normal(4)), {"num_groups": 4, "eps": 1e-4}, (1, 2)),
    Case("GroupNorm", (X, positive(2), normal(2)), {"num_groups": 2}, (1, 2)),
]

RESIZE = [
    Case("UpSampling", (X,), {"scale": 2, "sample_type": "nearest", "num_args": 1}),
    Case(
        "UpSampling",
        (X, normal(4, 1, 4, 4)),
        {"scale": 2, "sample_type": "bilinear", "num_args": 2, "num_filter": 4},
        (1,),
    ),
    *[
        Case("_contrib_BilinearResize2D", (X,), attrs)
        for attrs in (
            {"height": 18, "width": 22},
            {"height": 5, "width": 7},
            {"height": 18, "width": 22, "align_corners": "False"},
            {"height": 5, "width": 20, "align_corners": "False"},
            {"height": 9, "width": 11},
            {"mode": "odd_scale", "scale_height": 2, "scale_width": 2},
            {"mode": "to_even_up"},
            {"mode": "to_odd_down"},
        )
    ],
    Case("_contrib_BilinearResize2D", (normal(3, 4, 1, 1),), {"height": 6, "width": 5}),
    Case("_contrib_BilinearResize2D", (X, normal(3, 1, 12, 13)), {"mode": "like"}),
]

ORDERING = [
    *[Case("topk", (distinct(3, 8),), {"k": 3, "ret_typ": kind}) for kind in ("indices", "value", "both")],
    Case("topk", (distinct(3, 8),), {"k": 2, "is_ascend": "True", "axis": -1, "dtype": "int32"}),
    Case("topk", (distinct(3, 8, 2),), {"k": 0, "axis": 1, "ret_typ": "value"}),
    Case("argsort", (distinct(3, 8),), {}),
    Case("argsort", (distinct(3, 8),), {"is_ascend": "False", "dtype": "int32"}),
    Case("sort", (distinct(3, 8),), {}),
    Case("sort", (distinct(3, 8, 2),), {"axis": 1, "is_ascend": "0"}),
]

ANCHORS = boxes(1, 20)
DETECTION = [
    Case(
        "_contrib_box_decode", (normal(3, 20, 4), ANCHORS), {"std0": 0.1, "std1": 0.1, "std2": 0.2, "std3": 0.2}, (1,)
    ),
    Case("_contrib_box_decode", (normal(3, 20, 4), ANCHORS), {"format": "corner", "clip": 0.5}, (1,)),
    *[
        Case("_contrib_box_nms", (rows(3, 40, 3),), {"id_index": 0, "overlap_thresh": 0.3, **attrs})
        for attrs in (
            {},
            {"topk": 10},
            {"topk": 0},
            {"valid_thresh": 0.4, "topk": 30},
            {"force_suppress": "True"},
            {"background_id": 1},
            {"valid_thresh": 2},
        )
    ],
    Case("_contrib_box_nms", (rows(3, 40, 3),), {"topk": 20, "in_format": "center", "out_format": "center"}),
    Case("_contrib_box_nms", (rows(1, 40, 3)[0][:, 1:],), {"coord_start": 1, "score_index": 0}, dynamic=False),
    Case("_contrib_box_non_maximum_suppression", (rows(3, 12, 3),), {"id_index": 0}),
    *[
        Case("_contrib_MultiBoxPrior", (normal(1, 3, 5, 7),), attrs, dynamic=False)
        for attrs in (
            {},
            {"sizes": "(0.3, 0.4)", "ratios": "(1, 2, 0.5)"},
            {"sizes": "(0.3, 0.5)", "ratios": "(0.5, 2)"},
            {"sizes": "(0.3,)", "clip": "True", "steps": "(0.2, 0.1)", "offsets": "(0.4, 0.6)"},
        )
    ],
]
DETECTION += [
    Case(
        "_contrib_MultiBoxDetection",
        (np.exp(normal(3, 4, 20)), normal(3, 80), boxes(1, 20) / 100),
        {"threshold": 0.5, **attrs},
        (2,),
    )
    for attrs in ({}, {"nms_topk": 9}, {"force_suppress": "True", "clip": "False", "nms_threshold": 0.2})
]

ROIS = np.concatenate([whole(0, 2, 6, 1), boxes(6)], -1).astype(np.float32)
ROI = [
    *[
        Case(
            "_contrib_ROIAlign",
            (normal(2, 3, 20, 25), ROIS),
            {"pooled_size": "(3, 4)", "spatial_scale": 0.25, **attrs},
            dynamic=False,
        )
        for attrs in ({"sample_ratio": 2}, {"sample_ratio": -1}, {"sample_ratio": 2, "aligned": "True"})
    ],
    Case(
        "_contrib_ModulatedDeformableConvolution",
        (X, normal(3, 18, 9, 11), positive(3, 9, 9, 11), normal(6, 4, 3, 3), normal(6)),
        {"kernel": "(3, 3)", "num_filter": 6, "pad": "(1, 1)", "im2col_step": 64},
        (3, 4),
    ),
    Case(
        "_contrib_ModulatedDeformableConvolution",
        (X, normal(3, 36, 5, 6), positive(3, 18, 5, 6), normal(6, 4, 3, 3)),
        {
            "kernel": "(3, 3)",
            "num_filter": 6,
            "pad": "(1, 1)",
            "stride": "(2, 2)",
            "num_deformable_group": 2,
            "no_bias": "True",
        },
        (3,),
    ),
    Case(
        "_contrib_DeformableConvolution",
        (X, normal(3, 18, 7, 9), normal(6, 4, 3, 3), normal(6)),
        {"kernel": "(3, 3)", "num_filter": 6, "layout": "NCHW"},
        (2, 3),
    ),
    Case("ROIPooling", (normal(2, 3, 20, 25), ROIS), {"pooled_size": "(3, 4)", "spatial_scale": 0.25}, dynamic=False),
]

CASES = [
    *LAYERS, *ACTIVATIONS, *POOLING, *ELEMENTWISE, *SHAPE, *REDUCE, *CONSTANTS, *NORMALIZE, *RESIZE, *ORDERING,
    *DETECTION, *ROI,
]  # fmt: skip

"""As `export/ops/layers.py`."""

from operator_runs import Case

from operator_cases.drawn import X, normal, positive, whole

CASES = [
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
            ("_contrib_BatchNormWithReLU", {"fix_gamma": "False", "eps": 1e-5}),
        ]
    ],
    Case("BatchNorm", (normal(3, 5, 4), *(positive(4) for _ in range(4))), {"axis": 2}, (1, 2, 3, 4)),
    Case("Embedding", (whole(0, 9, 3, 4), normal(9, 5)), {"input_dim": 9, "output_dim": 5}, (1,)),
]  # fmt: skip

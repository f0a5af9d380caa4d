"""As `export/ops/activations.py`."""

from operator_runs import Case

from operator_cases.drawn import X, normal, positive, whole

CASES = [
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
    Case("SVMOutput", (normal(3, 5), whole(0, 4, 3)), {"margin": 0.5, "use_linear": "True"}, (1,)),
]  # fmt: skip

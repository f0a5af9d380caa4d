"""Nets of shapes that the zoo has none of: sequences, two inputs, an hourglass, a view that the net chooses itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from export.zoo.runtime import mxnet, quiet


def block(parts: Callable[[Any, Any], Mapping[str, Any]], forward: Callable[..., Any]):
    """A `HybridBlock` with these children, by name, whose `hybrid_forward` is `forward(self, F, *inputs)`."""
    mx = mxnet()

    class Block(mx.gluon.HybridBlock):
        def __init__(self):
            super().__init__(prefix="odd_")
            with self.name_scope():
                for name, part in parts(mx.gluon.nn, mx.gluon.rnn).items():
                    setattr(self, name, part)

        def hybrid_forward(self, F, *inputs):  # noqa: N803  (Gluon's own name for it)
            return forward(self, F, *inputs)

    return Block()


def saved(net, inputs: Mapping[str, np.ndarray], prefix: Path) -> tuple[Path, Path]:
    """Initialize with weights that matter, run once on the inputs, export: symbol and params."""
    mx = mxnet()
    mx.random.seed(1)
    with quiet():
        net.initialize(mx.init.Xavier(magnitude=2.5))
        net.hybridize()
        net(*[mx.nd.array(array) for array in inputs.values()])
        for name, parameter in net.collect_params().items():
            if name.endswith(("bias", "beta")):
                parameter.set_data(mx.nd.random.uniform(-0.3, 0.3, shape=parameter.shape))
        net.export(str(prefix))
    return Path(f"{prefix}-symbol.json"), Path(f"{prefix}-0000.params")


def drawn(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).normal(0, 1, shape).astype(np.float32)


def tagger(kind: str):
    """Words, two layers of a recurrent net in both directions, a label for each word."""
    net = block(
        lambda nn, rnn: {
            "words": nn.Embedding(20, 8),
            "layers": getattr(rnn, kind)(6, num_layers=2, bidirectional=True, layout="NTC"),
            "labels": nn.Dense(5, flatten=False),
        },
        lambda self, _, x: self.labels(self.layers(self.words(x))),
    )
    return net, {"data": np.random.default_rng(3).integers(0, 20, (3, 7)).astype(np.float32)}


def unrolled():
    """Cells step by step, which begin with zeros for a batch that the symbol does not know."""

    def forward(self, _, x):
        steps, _ = self.lstm.unroll(4, x, layout="NTC", merge_outputs=True)
        steps, _ = self.gru.unroll(4, steps, layout="NTC", merge_outputs=True)
        return self.out(steps)

    parts = lambda nn, rnn: {  # noqa: E731
        "lstm": rnn.LSTMCell(6, input_size=8),
        "gru": rnn.GRUCell(5, input_size=6),
        "out": nn.Dense(3),
    }
    return block(parts, forward), {"data": drawn(2, 4, 8)}


def reader():
    """A CRNN: columns of a feature map are the steps of a sequence [T, N, C]."""

    def forward(self, F, x):  # noqa: N803
        columns = F.transpose(F.mean(F.Pooling(self.conv(x), kernel=(2, 2), stride=(2, 2)), axis=2), axes=(2, 0, 1))
        return self.out(self.layers(columns))

    parts = lambda nn, rnn: {  # noqa: E731
        "conv": nn.Conv2D(8, 3, padding=1, activation="relu"),
        "layers": rnn.GRU(6, bidirectional=True),
        "out": nn.Dense(11, flatten=False),
    }
    return block(parts, forward), {"data": drawn(1, 3, 16, 32)}


def siamese():
    """Two pictures through one body; their distance and their angle."""

    def body(self, F, x):  # noqa: N803
        return self.dense(F.Pooling(self.conv(x), global_pool=True, kernel=(1, 1), pool_type="avg"))

    def forward(self, F, one, two):  # noqa: N803
        a, b = body(self, F, one), body(self, F, two)
        angle = F.sum(F.L2Normalization(a) * F.L2Normalization(b), axis=-1, keepdims=True)
        return F.sqrt(F.sum(F.square(a - b), axis=1) + 1e-6), angle

    parts = lambda nn, _: {"conv": nn.Conv2D(8, 3, activation="relu"), "dense": nn.Dense(6)}  # noqa: E731
    return block(parts, forward), {"data0": drawn(2, 3, 16, 16), "data1": drawn(2, 3, 16, 16)}


def looker():
    """A spatial transformer, and attention over what it sees."""

    def forward(self, F, x):  # noqa: N803
        seen = F.SpatialTransformer(
            x, self.where(x) * 0.1, target_shape=(9, 8), transform_type="affine", sampler_type="bilinear"
        )
        q, k, v = (F.reshape(part(seen), (0, 0, -1)) for part in (self.q, self.k, self.v))
        scores = F.contrib.div_sqrt_dim(F.linalg.gemm2(q, k, transpose_a=True))
        return F.linalg.gemm2(v, F.softmax(scores), transpose_b=True)

    parts = lambda nn, _: {"where": nn.Dense(6), **{name: nn.Conv2D(4, 1) for name in "qkv"}}  # noqa: E731
    return block(parts, forward), {"data": drawn(1, 3, 16, 16)}


def hourglass(*, sigmoid: bool):
    """A U-Net that tells one thing from everything else, on sides that do not divide."""

    def forward(self, F, x):  # noqa: N803
        first = self.first(x)
        second = self.second(first)
        up = F.concat(F.Crop(self.up(self.third(second)), second, num_args=2), second, dim=1)
        up = F.concat(F.slice_like(self.upper(up), first, axes=(2, 3)), first, dim=1)
        return F.sigmoid(self.out(up)) if sigmoid else self.out(up)

    parts = lambda nn, _: {  # noqa: E731
        "first": nn.Conv2D(6, 3, padding=1, activation="relu"),
        "second": nn.Conv2D(8, 3, 2, 1, activation="relu"),
        "third": nn.Conv2D(8, 3, 2, 1, activation="relu"),
        "up": nn.Conv2DTranspose(8, 4, 2, 1),
        "upper": nn.Conv2DTranspose(6, 2, 2),
        "out": nn.Conv2D(1, 1),
    }
    return block(parts, forward), {"data": drawn(1, 3, 37, 45)}


def ends_in(size: int, *, channels: int = 3, activation: str | None = None):
    """A convolution and a dense layer of `size` numbers."""
    parts = lambda nn, _: {"conv": nn.Conv2D(4, 3), "dense": nn.Dense(size, activation=activation)}  # noqa: E731
    return block(parts, lambda self, _, x: self.dense(self.conv(x))), {"data": drawn(1, channels, 16, 16)}


def numpy_net(prefix: Path) -> tuple[Path, Path, dict[str, np.ndarray]]:
    """A residual block of the newer courses, written with `mx.np` and `mx.npx`: saved, and what to feed it."""
    mx = mxnet()

    def forward(self, F, x):  # noqa: N803
        y = F.npx.relu(self.norm(self.one(x)))
        y = F.npx.relu(self.two(y) + self.aside(x))
        y = F.np.concatenate([y * 0.5 + 1, 1 / (2 + F.np.abs(y)), -y], axis=1)
        mean, total = y.mean(axis=(2, 3)), F.np.sum(y, axis=(2, 3))
        gate = F.npx.sigmoid(mean) * F.np.tanh(total) + F.np.exp(-(mean**2)) - F.np.sqrt(F.np.maximum(total, 0) + 1)
        rows = F.np.where(mean > 0, gate, total - mean).reshape(-1, 3, 4).transpose(0, 2, 1)
        products = F.np.matmul(rows, rows.transpose(0, 2, 1))
        return F.npx.softmax(self.dense(rows)), F.np.stack([mean, total], axis=1), products.max(axis=1)

    parts = lambda nn, _: {  # noqa: E731
        **{name: nn.Conv2D(4, size, padding=size // 2) for name, size in (("one", 3), ("two", 3), ("aside", 1))},
        "norm": nn.BatchNorm(),
        "dense": nn.Dense(3),
    }
    data = drawn(1, 3, 8, 8)
    with quiet(), mx.util.np_shape(active=True), mx.util.np_array(active=True):
        mx.random.seed(1)
        net = block(parts, forward)
        net.initialize(mx.init.Xavier(magnitude=2.5))
        net.hybridize()
        net(mx.np.array(data))
        net.export(str(prefix))
    return Path(f"{prefix}-symbol.json"), Path(f"{prefix}-0000.params"), {"data": data}

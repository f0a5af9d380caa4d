"""Archives laid out as SageMaker's built-in algorithms leave them, made with MXNet; small nets, the same graphs."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from export.zoo.runtime import gluoncv, mxnet, quiet

SIZES = [(0.2, 0.27), (0.45, 0.6)]
RATIOS = [(1, 2, 0.5), (1, 2, 0.5)]


def archive(path: Path, files: Mapping[str, bytes]) -> Path:
    """A `model.tar.gz` of flat files."""
    # Weights hardly compress, and trying takes its time.
    with tarfile.open(path, "w:gz", compresslevel=0) as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def checkpoint(symbol, shapes: Mapping[str, tuple[int, ...]], prefix: Path, epoch: int, *, raw: bool = True) -> None:
    """What `Module.save_checkpoint` writes, with weights that make scores differ."""
    mx = mxnet()
    rng = np.random.default_rng(4)
    with quiet():
        module = mx.mod.Module(
            symbol, data_names=["data"], label_names=[name for name in shapes if name != "data"], context=mx.cpu()
        )
        module.bind([("data", shapes["data"])], [(n, s) for n, s in shapes.items() if n != "data"], for_training=True)
        module.init_params(mx.init.Xavier(magnitude=2))
        args, aux = module.get_params()
        for name, array in args.items():
            if name.endswith(("bias", "beta")):
                array[:] = mx.nd.array(rng.normal(0, 0.3, array.shape))
            if "pred_conv_weight" in name or name == "fc1_weight":
                array[:] = mx.nd.array(rng.normal(0, 0.25 if name == "fc1_weight" else 0.01, array.shape))
        for name, array in aux.items():
            value = 0.4
            if name.startswith("bn_data"):
                value = {"mean": 110.0 if raw else 0.5, "var": 4000.0}[name.rsplit("_", 1)[1]]
            array[:] = mx.nd.array(rng.uniform(0.9, 1.1, array.shape) * value)
        module.set_params(args, aux)
        module.save_checkpoint(str(prefix), epoch)


def classifier_symbol(classes: int = 5, *, half: bool = False):
    """The start and the end of the image-classification algorithm's ResNet: `bn_data`, convolutions, `softmax`.

    With `precision_dtype=float16` (`half`) it casts the picture first and the scores last.
    """
    sym = mxnet().sym
    x = sym.Variable("data")
    if half:
        x = sym.Cast(x, dtype="float16")
    x = sym.BatchNorm(x, fix_gamma=True, eps=2e-5, momentum=0.9, name="bn_data")
    for n in range(2):
        x = sym.Convolution(
            x, num_filter=8 * (n + 1), kernel=(3, 3), stride=(2, 2), pad=(1, 1), no_bias=True, name=f"conv{n}"
        )
        x = sym.BatchNorm(x, fix_gamma=False, eps=2e-5, momentum=0.9, name=f"bn{n}")
        x = sym.Activation(x, act_type="relu", name=f"relu{n}")
    x = sym.Flatten(sym.Pooling(x, global_pool=True, kernel=(7, 7), pool_type="avg", name="pool1"))
    x = sym.FullyConnected(x, num_hidden=classes, name="fc1")
    if half:
        x = sym.Cast(x, dtype="float32")
    return sym.SoftmaxOutput(x, name="softmax")


def ssd_training_symbol(classes: int = 3, topk: int = 50):
    """The graph that object-detection trains and saves: four outputs, labels matched inside by `MultiBoxTarget`."""
    sym = mxnet().sym
    x, features = sym.Variable("data"), []
    for n in range(4):
        x = sym.Convolution(x, num_filter=12, kernel=(3, 3), stride=(2, 2), pad=(1, 1), name=f"conv{n}")
        x = sym.Activation(x, act_type="relu", name=f"relu{n}")
        if n == 1:
            x = sym.Pooling(x, kernel=(3, 3), stride=(1, 1), pad=(1, 1), pool_type="max", pooling_convention="full")
            x = sym.Dropout(x, p=0.5, name="drop")
        features.append(x)
    locations, scores, anchors = [], [], []
    # As the VGG-16 variant scales its first feature map.
    scale = sym.Variable(
        "conv2_scale", shape=(1, 12, 1, 1), init=mxnet().init.Constant(20), attr={"__wd_mult__": "0.1"}
    )
    features[2] = sym.broadcast_mul(lhs=scale, rhs=sym.L2Normalization(features[2], mode="channel", name="l2"))
    for n, feature in enumerate(features[2:]):
        count = len(SIZES[n]) + len(RATIOS[n]) - 1
        for filters, name, found in ((4, "loc", locations), (classes + 1, "cls", scores)):
            y = sym.Convolution(
                feature, num_filter=filters * count, kernel=(3, 3), pad=(1, 1), name=f"f{n}_{name}_pred_conv"
            )
            found.append(sym.Flatten(sym.transpose(y, axes=(0, 2, 3, 1))))
        prior = sym.contrib.MultiBoxPrior(feature, sizes=SIZES[n], ratios=RATIOS[n], clip=False, name=f"f{n}_anchors")
        anchors.append(sym.Flatten(prior))
    loc = sym.Concat(*locations, dim=1, name="multibox_loc_pred")
    cls = sym.transpose(
        sym.Reshape(sym.Concat(*scores, dim=1), shape=(0, -1, classes + 1)), axes=(0, 2, 1), name="multibox_cls_pred"
    )
    boxes = sym.Reshape(sym.Concat(*anchors, dim=1), shape=(0, -1, 4), name="multibox_anchors")
    target = sym.contrib.MultiBoxTarget(
        boxes,
        sym.Variable("label"),
        cls,
        overlap_threshold=0.5,
        ignore_label=-1,
        negative_mining_ratio=3,
        name="multibox_target",
    )
    probability = sym.SoftmaxOutput(
        cls, target[2], ignore_label=-1, use_ignore=True, multi_output=True, normalization="valid", name="cls_prob"
    )
    loss = sym.MakeLoss(sym.smooth_l1(target[1] * (loc - target[0]), scalar=1.0, name="loc_loss_"), name="loc_loss")
    seen = sym.MakeLoss(target[2], grad_scale=0, name="cls_label")
    found = sym.contrib.MultiBoxDetection(
        probability, loc, boxes, nms_threshold=0.45, force_suppress=False, nms_topk=topk, name="detection"
    )
    return mxnet().sym.Group([probability, loss, seen, sym.MakeLoss(found, grad_scale=0, name="det_out")])


def image_classification(folder: Path, *, raw: bool = True) -> Path:
    """`image-classification-0030.params`, `-symbol.json`, `model-shapes.json`."""
    checkpoint(
        classifier_symbol(),
        {"data": (2, 3, 64, 64), "softmax_label": (2,)},
        folder / "image-classification",
        30,
        raw=raw,
    )
    shapes = [{"shape": [1, 3, 64, 64], "name": "data"}]
    files = {path.name: path.read_bytes() for path in folder.glob("image-classification-*")}
    return archive(folder / "model.tar.gz", {**files, "model-shapes.json": json.dumps(shapes).encode()})


def object_detection(folder: Path) -> Path:
    """`model_algo_1-symbol.json`, `model_algo_1-0000.params`, `hyperparams.json`, as training leaves them."""
    checkpoint(ssd_training_symbol(), {"data": (2, 3, 128, 128), "label": (2, 4, 5)}, folder / "model_algo_1", 0)
    hyper = {
        "num_classes": "3",
        "image_shape": "128",
        "base_network": "vgg-16",
        "nms_threshold": "0.45",
        "epochs": "30",
    }
    files = {path.name: path.read_bytes() for path in folder.glob("model_algo_1-*")}
    return archive(folder / "model.tar.gz", {**files, "hyperparams.json": json.dumps(hyper).encode()})


def semantic_segmentation(folder: Path, *, algorithm: str = "fcn", crop: int = 96) -> Path:
    """`model_algo-1` (GluonCV's `save_parameters`), `model_best.params`, `hyperparams.json`; dilated ResNet-50, 4 classes."""
    size = -(-crop // 8) * 8
    classes = {"fcn": "FCN", "psp": "PSPNet", "deeplab": "DeepLabV3"}
    with quiet():
        model = getattr(gluoncv().model_zoo, classes[algorithm])
        mx = mxnet()
        mx.random.seed(3)
        net = model(4, backbone="resnet50", pretrained_base=False, aux=True, crop_size=size)
        net.initialize(mx.init.Normal(0.03))
        net(mx.nd.zeros((1, 3, size, size)))
        net.save_parameters(str(folder / "model_algo-1"))
    hyper = {
        "algorithm": algorithm,
        "backbone": "resnet-50",
        "num_classes": "4",
        "crop_size": str(crop),
        "epochs": "10",
    }
    files = {
        "model_algo-1": (folder / "model_algo-1").read_bytes(),
        "model_best.params": b"the best epoch's, which nobody reads while the last one's are there",
        "hyperparams.json": json.dumps(hyper).encode(),
    }
    return archive(folder / "model.tar.gz", files)

"""The zoo: what it lists, what it builds, and that nets of each family convert exactly."""

from __future__ import annotations

import hashlib

import numpy as np
import onnx
import pytest

from export import heads, source, zoo
from export.errors import ExportError
from export.verify import verify, verify_raw
from export.zoo import pretrained
from export.zoo.runtime import gluoncv, mxnet, quiet


@pytest.fixture
def model_store():
    """GluonCV's table of published files, imported with its warnings held back whatever test comes first."""
    gluoncv()
    from gluoncv.model_zoo import model_store

    return model_store


def test_list_nets_when_compared_with_gluoncv_then_the_names_are_the_same():
    listed = list(gluoncv().model_zoo.get_model_list())
    assert [net.name for net in zoo.list_nets()] == listed
    assert len(listed) == 332


def test_find_when_there_is_no_such_net_then_the_error_names_close_ones():
    with pytest.raises(ExportError, match=r"mobilenet1\.0"):
        zoo.find("mobilnet1.0")


def test_build_when_the_weights_are_ambiguous_then_it_refuses(tmp_path):
    with pytest.raises(ExportError, match="exactly one"):
        zoo.build("mobilenet0.25", out_dir=tmp_path)
    with pytest.raises(ExportError, match="exactly one"):
        zoo.build("mobilenet0.25", out_dir=tmp_path, random_seed=1, pretrained=True)


def test_build_when_a_net_needs_classes_then_the_error_says_so(tmp_path):
    with pytest.raises(ExportError, match=r"ssd_300_mobilenet0\.25_custom needs the names"):
        zoo.build("ssd_300_mobilenet0.25_custom", out_dir=tmp_path, random_seed=1)


def test_build_when_an_action_net_is_for_ones_own_classes_then_it_tells_them_apart_without_published_weights(tmp_path):
    saved = zoo.build("resnet18_v1b_custom", out_dir=tmp_path, random_seed=1, classes=["run", "jump", "swim"])

    assert saved.meta["labels"] == ["run", "jump", "swim"]
    (weight,) = (v for k, v in source.load_params(saved.params_path).items() if k.endswith("dense0_weight"))
    assert weight.shape == (3, 512)


@pytest.mark.parametrize(("name", "why"), [("mobilenet1.0_int8", "pre-quantized"), ("resnet50_v1b_gn", "GroupNorm")])
def test_build_when_a_net_cannot_be_built_then_the_error_says_why(tmp_path, name, why):
    with pytest.raises(ExportError, match=f"{name} cannot be built: .*{why}"):
        zoo.build(name, out_dir=tmp_path, random_seed=1)


def test_build_when_the_seed_is_the_same_then_the_weights_are(tmp_path):
    one, two = (zoo.build("cifar_resnet20_v1", out_dir=tmp_path / name, random_seed=5) for name in ("a", "b"))
    first, second = (source.load_params(saved.params_path) for saved in (one, two))
    assert list(first) == list(second)
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name])


def test_build_when_the_pictures_are_too_small_for_the_net_then_the_error_says_so(tmp_path):
    with pytest.raises(ExportError, match="ssd_300_resnet34_v1b_voc does not take pictures of 64x64"):
        zoo.build("ssd_300_resnet34_v1b_voc", out_dir=tmp_path, random_seed=1, input_hw=(64, 64))


def test_build_when_the_parameter_file_is_of_another_net_then_the_error_names_it(tmp_path):
    saved = zoo.build("cifar_resnet20_v1", out_dir=tmp_path, random_seed=5)
    with pytest.raises(ExportError, match=r"cifar_resnet20_v1-0000\.params: the weights do not fit"):
        zoo.build("mobilenet0.25", out_dir=tmp_path, params=saved.params_path)


def test_weights_file_when_offline_then_the_error_says_which_file_to_put_where(tmp_path, monkeypatch, model_store):
    def refuse(*_args, **_options):
        raise OSError("no network")

    monkeypatch.setattr(model_store, "download", refuse)
    with pytest.raises(ExportError) as caught:
        pretrained.weights_file("mobilenet1.0", root=tmp_path)
    sha1 = model_store._model_sha1["mobilenet1.0"]
    for word in (f"mobilenet1.0-{sha1[:8]}.params", sha1, str(tmp_path)):
        assert word in str(caught.value)


def test_weights_file_when_the_cached_file_is_wrong_then_it_is_refused(tmp_path, monkeypatch, model_store):
    sha1 = hashlib.sha1(b"right", usedforsecurity=False).hexdigest()
    monkeypatch.setitem(model_store._model_sha1, "mobilenet1.0", sha1)
    path = tmp_path / f"mobilenet1.0-{sha1[:8]}.params"
    path.write_bytes(b"wrong")
    with pytest.raises(ExportError, match="its SHA-1 is"):
        pretrained.weights_file("mobilenet1.0", root=tmp_path)
    path.write_bytes(b"right")
    assert pretrained.weights_file("mobilenet1.0", root=tmp_path) == path


def test_build_when_the_published_file_is_in_the_cache_then_its_weights_are_the_nets(
    tmp_path, monkeypatch, model_store
):
    def refuse(*_args, **_options):
        raise AssertionError("what is in the cache is not downloaded")

    mx = mxnet()
    with quiet():
        net = gluoncv().model_zoo.get_model("cifar_resnet20_v1")
        net.initialize(mx.init.Normal(0.1))
        net(mx.nd.zeros((1, 3, 32, 32)))
        (tmp_path / "models").mkdir()
        net.save_parameters(str(tmp_path / "published"))
    sha1 = hashlib.sha1((tmp_path / "published").read_bytes(), usedforsecurity=False).hexdigest()
    (tmp_path / "published").rename(tmp_path / "models" / f"cifar_resnet20_v1-{sha1[:8]}.params")
    monkeypatch.setitem(model_store._model_sha1, "cifar_resnet20_v1", sha1)
    monkeypatch.setattr(model_store, "download", refuse)
    monkeypatch.setenv("MXNET_HOME", str(tmp_path))
    saved = zoo.build("cifar_resnet20_v1", out_dir=tmp_path / "out", pretrained=True)
    found = source.load_params(saved.params_path)
    expected = net.output.weight.data().asnumpy()
    np.testing.assert_array_equal(next(array for array in found.values() if array.shape == expected.shape), expected)


# One net of each family and kind of backbone: name, size of the pictures (None: the usual one).
FAMILIES = {
    "resnet18_v1": None, "resnet18_v1b": None, "resnet18_v2": None, "mobilenet0.25": None, "mobilenetv2_0.25": None,
    "mobilenetv3_small": None, "squeezenet1.1": None, "vgg11_bn": (32, 32), "densenet121": None,
    "se_resnet18_v2": (64, 64), "resnest14": (64, 64), "hrnet_w18_small_v1_c": (64, 64), "googlenet": None,
    "inceptionv3": None, "shufflenet_v1": (64, 64), "shufflenet_v2": (64, 64), "dla34": (64, 64),
    "darknet53": (64, 64), "resnet50_v1d_0.11": (64, 64),
    "cifar_resnet20_v1": None, "cifar_resnet20_v2": None, "cifar_residualattentionnet56": None,
    "ssd_300_vgg16_atrous_voc": None, "ssd_512_resnet18_v1_coco": (256, 256),
    "ssd_300_mobilenet1.0_lite_coco": (160, 160),
    "yolo3_mobilenet0.25_voc": (96, 128),
    "center_net_resnet18_v1b_voc": (128, 128), "center_net_resnet18_v1b_dcnv2_voc": (128, 128),
    "center_net_mobilenetv3_small_duc_voc": (128, 128),
    "fcn_resnet50_voc": (64, 64), "psp_resnet50_ade": (64, 96), "deeplab_resnet50_ade": (64, 64),
    "icnet_resnet50_citys": (128, 128), "fastscnn_citys": (128, 256), "danet_resnet50_citys": (64, 64),
    "hrnet_w18_small_v1_s": (64, 64),
    "simple_pose_resnet18_v1b": (128, 96), "mobile_pose_mobilenetv3_small": (128, 96),
}  # fmt: skip
REGIONS = {"rpn_test_pre_nms": 200, "rpn_test_post_nms": 40}


def convert(name, folder, size, **options):
    net = zoo.find(name)
    size = size or net.input_hw
    saved = zoo.build(name, out_dir=folder, random_seed=1, input_hw=size, **options)
    graph = source.load(saved.symbol_path, saved.params_path)
    model = heads.finish(graph, task=net.task, input_hw=size, labels=saved.meta["labels"], mean=net.mean, std=net.std)
    onnx.checker.check_model(model, full_check=True)
    pictures = zoo.pictures(2, size, seed=2)
    return verify(saved.symbol_path, saved.params_path, model, pictures, task=net.task, mean=net.mean, std=net.std)


@pytest.mark.parametrize("name", FAMILIES)
def test_zoo_net_when_converted_with_random_weights_then_every_layer_and_the_end_equal_mxnet(name, tmp_path):
    found = convert(name, tmp_path, FAMILIES[name])
    assert found.ok, found.to_json()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("mask_rcnn_fpn_resnet18_v1b_coco", {"options": REGIONS}),
        # GluonCV's own list builds this one with a branch missing.
        ("custom_faster_rcnn_fpn", {"classes": ["one", "two"], "regions": 40}),
    ],
)
def test_two_stage_net_when_converted_with_random_weights_then_every_layer_and_the_end_equal_mxnet(
    name, options, tmp_path
):
    found = convert(name, tmp_path, (96, 128), **options)
    assert found.ok, found.to_json()


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("resnet18_v1b_kinetics400", (64, 64)),
        ("i3d_nl5_resnet50_v1_kinetics400", (64, 64)),
        ("monodepth2_resnet18_kitti_stereo_640x192", (64, 96)),
        ("siamrpn_alexnet_v2_otb15", None),
    ],
)
def test_zoo_net_of_another_task_when_translated_then_every_layer_and_the_end_equal_mxnet(name, size, tmp_path):
    net = zoo.find(name)
    size = size or net.input_hw
    saved = zoo.build(name, out_dir=tmp_path, random_seed=1, input_hw=size)
    images = zoo.pictures(2 * (net.frames or 1), size, seed=2).transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1
    if net.frames:
        images = images.reshape(2, net.frames, 3, *size).transpose(0, 2, 1, 3, 4)
    inputs = {"data": images[:1]}
    if net.task == "tracking":
        inputs = {"data0": images[:1, :, :127, :127], "data1": images[1:]}
    inputs = {key: np.ascontiguousarray(array) for key, array in inputs.items()}
    found = verify_raw(saved.symbol_path, saved.params_path, inputs)
    assert found.ok, found.to_json()

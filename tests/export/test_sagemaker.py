"""Archives of SageMaker's built-in algorithms: recognised, unpacked safely, converted, equal to MXNet."""

import gzip
import io
import json
import tarfile

import numpy as np
import pytest
import sagemaker_models as models
from saved_models import params_bytes

from edge.bundle.bundle import read_bundle
from export import heads, sagemaker, source, zoo
from export.archive import unpack
from export.cli import main
from export.errors import ExportError, SourceError
from export.params import read_params
from export.prune import prune_training
from export.verify import verify


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    return models.image_classification(tmp_path_factory.mktemp("classifier"))


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    return models.object_detection(tmp_path_factory.mktemp("detector"))


def _repacked(path, target, **changes):
    """The same archive with members put in, replaced, or (None) left out."""
    files = {}
    with tarfile.open(path) as tar:
        files = {m.name: tar.extractfile(m).read() for m in tar.getmembers()}
    files |= {name.replace("__", "-").replace("_json", ".json"): content for name, content in changes.items()}
    return models.archive(target / "again.tar.gz", {n: c for n, c in files.items() if c is not None})


def _converted(archive, out, *more):
    assert main(["convert", "--sagemaker", str(archive), "-o", str(out), *more]) == 0
    return read_bundle(out)


def test_convert_when_an_image_classification_archive_is_given_then_the_bundle_equals_mxnet(classifier, tmp_path):
    bundle = _converted(classifier, tmp_path / "b", "--labels", "a,b,c,d,e")
    spec = bundle.manifest.input
    assert (bundle.manifest.task, spec.height, spec.width, bundle.labels) == ("classification", 64, 64, tuple("abcde"))
    assert bundle.manifest.source.normalization == {"scale": 1.0, "offset": 0.0}
    assert main(["verify", str(tmp_path / "b")]) == 0


def test_convert_when_training_was_in_half_precision_then_the_bundle_equals_mxnet_in_single(classifier, tmp_path):
    with tarfile.open(classifier) as tar:
        weights = read_params(tar.extractfile("image-classification-0030.params").read(), "it")
    halved = {
        f"{'aux' if 'moving' in name else 'arg'}:{name}": array.astype("<f4" if "bn" in name else "<f2")
        for name, array in weights.items()
    }
    archive = _repacked(
        classifier,
        tmp_path,
        **{
            "image-classification-0030.params": params_bytes(halved),
            "image-classification-symbol.json": models.classifier_symbol(half=True).tojson().encode(),
        },
    )
    _converted(archive, tmp_path / "b")
    symbol = json.loads((tmp_path / "b" / "source" / "model-symbol.json").read_text())
    assert {node["attrs"]["dtype"] for node in symbol["nodes"] if node["op"] == "Cast"} == {"float32"}
    assert main(["verify", str(tmp_path / "b")]) == 0


def test_convert_when_the_first_layer_saw_pixels_around_zero_then_the_means_are_subtracted(tmp_path):
    found = sagemaker.read_archive(models.image_classification(tmp_path, raw=False), _folder(tmp_path, "out"))
    assert np.allclose(np.array(found.normalization["mean"]) * 255, (123.68, 116.779, 103.939))


def test_convert_when_an_object_detection_archive_is_given_then_training_is_pruned_and_it_equals_mxnet(
    detector, tmp_path
):
    bundle = _converted(detector, tmp_path / "b")
    assert (bundle.manifest.task, bundle.manifest.classes) == ("detection", 3)
    assert np.allclose(np.array(bundle.manifest.source.normalization["mean"]) * 255, (123, 117, 104))
    symbol = json.loads((tmp_path / "b" / "source" / "model-symbol.json").read_text())
    assert not {node["op"] for node in symbol["nodes"]} & {"MakeLoss", "SoftmaxOutput", "_contrib_MultiBoxTarget"}
    assert main(["verify", str(tmp_path / "b")]) == 0


@pytest.mark.parametrize("algorithm", ["fcn", "psp", "deeplab"])
def test_convert_when_a_semantic_segmentation_archive_is_given_then_the_net_is_rebuilt_around_its_weights(
    algorithm, tmp_path
):
    archive = models.semantic_segmentation(tmp_path, algorithm=algorithm, crop=60)
    found = sagemaker.read_archive(archive, _folder(tmp_path, "out"))
    # The algorithm rounds 60 up to a multiple of 8.
    assert (found.task, found.input_hw, found.classes) == ("segmentation", (64, 64), 4)
    graph = source.load(found.symbol, found.params)
    assert graph.free_variables() == ["data"]
    trained = source.load_params(tmp_path / "model_algo-1")
    assert sum(array.size for array in graph.params.values()) == sum(array.size for array in trained.values())
    if algorithm == "fcn":
        model = heads.finish(graph, task=found.task, input_hw=(64, 64), labels=list("abcd"), **found.normalization)
        pictures = zoo.pictures(1, (64, 64), seed=3)
        compared = verify(found.symbol, found.params, model, pictures, task=found.task, **found.normalization)
        assert compared.ok, compared.to_json()


def test_convert_when_labels_do_not_fit_then_fails_with_both_numbers(detector, tmp_path, capsys):
    assert main(["convert", "--sagemaker", str(detector), "--labels", "a,b", "-o", str(tmp_path / "b")]) == 1
    assert "2 labels were given, the model has 3 classes" in capsys.readouterr().err


def test_convert_when_given_twice_what_to_convert_then_refuses(detector, tmp_path, capsys):
    assert main(["convert", "mobilenet1.0", "--sagemaker", str(detector), "-o", str(tmp_path / "b")]) == 1
    assert "not both" in capsys.readouterr().err


def test_read_when_the_archive_is_another_framework_s_then_says_what_was_looked_for(tmp_path):
    path = models.archive(tmp_path / "m.tar.gz", {"saved_model.pb": b"x"})
    with pytest.raises(SourceError, match=r"looked for image-classification-symbol.json.*it holds saved_model.pb"):
        sagemaker.read_archive(path, _folder(tmp_path, "out"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hyperparams_json": b"[1]"}, "not an object"),
        ({"hyperparams_json": b"{"}, "not JSON"),
        ({"hyperparams_json": b'{"num_classes": "3"}'}, "image_shape"),
        ({"hyperparams_json": b'{"num_classes": "-3", "image_shape": "128"}'}, "num_classes"),
        ({"model_algo_1__0000.params": None}, "no model_algo_1-NNNN.params"),
    ],
)
def test_read_when_the_hyperparameters_are_unusable_then_fails_by_name(changes, message, detector, tmp_path):
    path = _repacked(detector, tmp_path, **changes)
    with pytest.raises(SourceError, match=message):
        sagemaker.read_archive(path, _folder(tmp_path, "out"))


def test_convert_when_normalisation_cannot_be_told_then_asks_for_it(tmp_path, capsys):
    mx_free = {"shape": [1, 3, 64, 64], "name": "data"}
    symbol = models.classifier_symbol()
    models.checkpoint(symbol, {"data": (2, 3, 64, 64), "softmax_label": (2,)}, tmp_path / "image-classification", 1)
    from export.zoo.runtime import mxnet

    mx = mxnet()
    weights = mx.nd.load(str(tmp_path / "image-classification-0001.params"))
    weights["aux:bn_data_moving_mean"][:] = 0
    weights["aux:bn_data_moving_var"][:] = 1
    mx.nd.save(str(tmp_path / "image-classification-0001.params"), weights)
    files = {p.name: p.read_bytes() for p in tmp_path.glob("image-*")}
    path = models.archive(tmp_path / "m.tar.gz", {**files, "model-shapes.json": json.dumps([mx_free]).encode()})
    assert main(["convert", "--sagemaker", str(path), "-o", str(tmp_path / "b")]) == 1
    assert "does not record how pixels were normalised" in capsys.readouterr().err
    _converted(path, tmp_path / "b", "--mean", "0.5,0.5,0.5", "--std", "0.2,0.2,0.2")


def test_prune_when_every_output_is_a_loss_then_fails_by_name(tmp_path):
    from export.zoo.runtime import mxnet

    sym = mxnet().sym
    out = sym.FullyConnected(sym.Variable("data"), num_hidden=2, name="fc")
    loss = sym.MakeLoss(sym.sum(sym.square(out - sym.Variable("truth_label"))), name="loss")
    loss.save(str(tmp_path / "x-symbol.json"))
    nodes, outputs = source.load_symbol(tmp_path / "x-symbol.json")
    graph = source.Graph(nodes=nodes, heads=outputs, params={"fc_weight": np.zeros((2, 2)), "fc_bias": np.zeros(2)})
    with pytest.raises(SourceError, match="every output is a loss"):
        prune_training(graph)


def test_unpack_when_a_member_is_a_link_then_refuses(tmp_path):
    for kind, name in ((tarfile.SYMTYPE, "s"), (tarfile.LNKTYPE, "l"), (tarfile.CHRTYPE, "c"), (tarfile.FIFOTYPE, "f")):
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, "/etc/passwd"
        with pytest.raises(SourceError, match="not a regular file"):
            unpack(_tar(tmp_path / f"{name}.tar.gz", [(info, b"")]), _folder(tmp_path, name))


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/b", "-rf", ".hidden", "a\nb", "x" * 300])
def test_unpack_when_a_name_is_not_plain_then_refuses_and_writes_nothing(name, tmp_path):
    out = _folder(tmp_path, "out")
    with pytest.raises(SourceError, match="plain name"):
        unpack(_tar(tmp_path / "m.tar.gz", [(_info(name, 1), b"x")]), out)
    assert not list(out.iterdir())


def test_unpack_when_a_name_occurs_twice_then_refuses(tmp_path):
    with pytest.raises(SourceError, match="twice"):
        unpack(_tar(tmp_path / "m.tar.gz", [(_info("a", 1), b"x"), (_info("./a", 1), b"y")]), _folder(tmp_path, "out"))


def test_unpack_when_there_are_too_many_files_then_refuses(tmp_path):
    members = [(_info(f"f{n}", 0), b"") for n in range(65)]
    with pytest.raises(SourceError, match="more than 64 files"):
        unpack(_tar(tmp_path / "m.tar.gz", members), _folder(tmp_path, "out"))


def test_unpack_when_it_inflates_out_of_proportion_then_stops(tmp_path):
    size = 64 << 20
    path = tmp_path / "bomb.tar.gz"
    with gzip.open(path, "wb", 6) as out:
        out.write(_info("zeros", size).tobuf())
        for _ in range(64):
            out.write(bytes(1 << 20))
    assert path.stat().st_size < size // 500
    with pytest.raises(SourceError, match="unpacks to more than"):
        unpack(path, _folder(tmp_path, "out"))


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_unpack_when_a_header_claims_a_huge_payload_then_refuses_before_reading_it(kind, tmp_path):
    info = _info("x", 1 << 33)
    info.type = kind
    path = tmp_path / "m.tar.gz"
    with gzip.open(path, "wb") as out:
        out.write(info.tobuf(tarfile.GNU_FORMAT))
        out.write(bytes(4096))
    with pytest.raises(SourceError, match="a header claims"):
        unpack(path, _folder(tmp_path, "out"))


@pytest.mark.parametrize(
    "content",
    [b"", b"not gzip", gzip.compress(b"not tar" * 100), gzip.compress(b"")],
    # The bytes hold the time: processes that collect in different seconds would not agree on the names.
    ids=["empty", "not gzip", "not tar", "nothing compressed"],
)
def test_unpack_when_it_is_not_an_archive_then_says_so(content, tmp_path):
    path = tmp_path / "m.tar.gz"
    path.write_bytes(content)
    with pytest.raises(SourceError):
        sagemaker.read_archive(path, _folder(tmp_path, "out"))


def test_unpack_when_cut_short_then_says_so(detector, tmp_path):
    path = tmp_path / "m.tar.gz"
    path.write_bytes(detector.read_bytes()[:-2000])
    with pytest.raises(SourceError, match="damaged"):
        unpack(path, _folder(tmp_path, "out"))


def test_convert_when_there_is_no_such_archive_then_names_it(tmp_path, capsys):
    assert main(["convert", "--sagemaker", str(tmp_path / "none.tar.gz"), "-o", str(tmp_path / "b")]) == 1
    assert "none.tar.gz" in capsys.readouterr().err


def test_segmentation_when_the_algorithm_is_unknown_then_lists_the_known(tmp_path):
    from export.zoo.segmentation import save_segmentation

    with pytest.raises(ExportError, match="known: fcn, psp, deeplab"):
        save_segmentation("unet", tmp_path / "w", backbone="resnet50", classes=2, crop=64, out_dir=tmp_path)
    assert "detection" in heads.TASKS


def _folder(parent, name):
    folder = parent / name
    folder.mkdir()
    return folder


def _info(name, size):
    info = tarfile.TarInfo(name)
    info.size = size
    return info


def _tar(path, members):
    with tarfile.open(path, "w:gz") as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    return path

"""The session: what runs the model here, what falls away and why, and that every way computes the same."""

import importlib.util
import logging
import os
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from bundles import classification_bundle, detection_bundle, squares_picture
from onnx import TensorProto, helper
from street import ROOT

from edge import runtimes
from edge.bundle.bundle import read_bundle
from edge.errors import SessionError
from edge.inference.golden import check
from edge.inference.session import Session, SessionOptions
from edge.inference.stages import Stage, prepare_for
from edge.runtimes import plugin, providers
from edge.runtimes.binding import BoundRuntime
from edge.runtimes.onnx import CPU, load
from edge.runtimes.runtime import Settings


@pytest.fixture
def bundle(tmp_path):
    return read_bundle(detection_bundle(tmp_path / "squares"))


def picture(bundle):
    return prepare_for(bundle, squares_picture(160, 120, {"green": (20, 30, 40), "red": (90, 20, 30)}))[0]


def test_provider_that_this_build_lacks_falls_away_with_the_reason(bundle):
    session = Session(bundle, SessionOptions(("tensorrt", "cuda", "xnnpack")))

    assert session.provider == CPU
    reason = "not in this build of onnxruntime"
    assert session.fell_away == {"tensorrt": reason, "cuda": reason, "xnnpack": reason}


def test_provider_whose_libraries_are_missing_is_not_taken_for_one_that_runs(bundle, monkeypatch):
    """onnxruntime-gpu lists CUDA, and goes on with the CPU when its libraries cannot be loaded."""
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", CPU])
    with pytest.warns(UserWarning, match="CUDAExecutionProvider"):
        session = Session(bundle, SessionOptions(("cuda",)))

    assert session.provider == CPU
    assert session.fell_away == {"cuda": "its libraries or its device are missing"}


def test_model_that_fails_on_its_first_run_goes_to_the_next_provider(bundle, monkeypatch):
    class Broken:
        name = "Broken"

        def __init__(self, graph):
            self.graph = graph

        def run(self, _images, _names):
            raise RuntimeError("CUDA failure 2: out of memory\n  at some line")

    def broken(model, settings):
        return Broken(providers.cpu(model, settings).graph)

    monkeypatch.setattr(runtimes, "RUNTIMES", {**runtimes.RUNTIMES})
    monkeypatch.setattr("edge.inference.session.RUNTIMES", {**runtimes.RUNTIMES, "cuda": (broken,)})
    session = Session(bundle, SessionOptions(("cuda",)))

    assert session.provider == CPU
    assert session.fell_away == {"cuda": "its first run failed: CUDA failure 2: out of memory"}


def test_unknown_provider_is_named(bundle):
    with pytest.raises(SessionError, match="'gpu' is not known; one of cpu, xnnpack, cuda, tensorrt, openvino"):
        Session(bundle, SessionOptions(("gpu",)))


def test_model_that_nothing_loads_says_why(tmp_path):
    folder = classification_bundle(tmp_path / "colours")
    bundle = read_bundle(folder)
    bundle.files["model.onnx"] = b"no model"

    with pytest.raises(SessionError, match=r"cannot be run here: .*INVALID_PROTOBUF"):
        Session(bundle)


def test_a_session_is_planned_for_one_picture_and_still_takes_several(bundle):
    assert providers.cpu(bundle.model, Settings()).graph.inputs["image"][1][0] == 1

    session = Session(bundle)
    one = picture(bundle)[None]
    two = session.infer(np.concatenate([one, np.zeros_like(one)]))
    for name, value in session.infer(one).items():
        assert two[name].shape == (2, *value.shape[1:])
        np.testing.assert_array_equal(two[name][:1], value)


def test_bound_runtime_computes_the_same_for_every_picture(bundle):
    plain = providers.cpu(bundle.model, Settings())
    bound = BoundRuntime(load(bundle.model, CPU, Settings()), CPU, "cpu")
    names = [o.name for o in bundle.manifest.outputs]
    one = picture(bundle)[None]

    for images in (one, np.zeros_like(one), one[:, ::-1], one):
        for got, want in zip(bound.run(images, names), plain.run(images, names), strict=True):
            np.testing.assert_array_equal(got, want)


def test_openvinos_own_runtime_says_what_the_golden_sample_expects(bundle):
    if importlib.util.find_spec("openvino") is None:
        pytest.skip("needs openvino")
    stage = Stage(bundle, SessionOptions(("openvino",), threads=1))

    assert stage.session.provider in {"OpenVINO", "OpenVINOExecutionProvider"}
    assert check(bundle, stage).ok
    two = np.concatenate([picture(bundle)[None]] * 2)
    assert stage.session.infer(two)["count"].tolist() == [2, 2]


def test_openvino_that_is_not_installed_falls_away_with_every_reason(bundle, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.setitem(sys.modules, "onnxruntime_ep_openvino", None)
    plugin._register.cache_clear()
    session = Session(bundle, SessionOptions(("openvino",)))
    plugin._register.cache_clear()

    assert session.provider == CPU
    assert session.fell_away == {
        "openvino": "onnxruntime-ep-openvino is not installed; not in this build of onnxruntime; "
        "openvino is not installed"
    }


class FakePluginOrt(types.SimpleNamespace):
    """onnxruntime with a registered plugin whose device is the CPU's own: all real but the registration."""

    def __init__(self, devices):
        super().__init__(
            OrtHardwareDeviceType=onnxruntime.OrtHardwareDeviceType,
            SessionOptions=onnxruntime.SessionOptions,
            InferenceSession=onnxruntime.InferenceSession,
            register_execution_provider_library=lambda name, path: self.registered.append((name, path)),
            get_ep_devices=lambda: devices,
            registered=[],
        )

    __hash__ = object.__hash__


@pytest.mark.parametrize("offers", [True, False])
def test_plugin_is_registered_once_and_used_where_it_offers_a_device(bundle, monkeypatch, offers):
    if not hasattr(onnxruntime, "get_ep_devices"):
        pytest.skip("this onnxruntime takes no plugins")
    ort = FakePluginOrt([d for d in onnxruntime.get_ep_devices() if d.ep_name == CPU] if offers else [])
    package = types.SimpleNamespace(get_library_path=lambda: "lib.so", get_ep_name=lambda: CPU)
    monkeypatch.setitem(sys.modules, "onnxruntime_ep_openvino", package)
    monkeypatch.setattr(plugin, "onnxruntime", lambda: ort)

    if offers:
        monkeypatch.setattr("edge.runtimes.plugin._options", lambda _settings: {})
        runtime = plugin.openvino_plugin(bundle.model, Settings())
        plugin.openvino_plugin(bundle.model, Settings())
        assert runtime.run(picture(bundle)[None], ["count"])[0].tolist() == [2]
    else:
        with pytest.raises(runtimes.UnavailableError, match="offers no device for this CPU"):
            plugin.openvino_plugin(bundle.model, Settings())
    assert ort.registered == [("onnxruntime_ep_openvino", "lib.so")]


def test_tensorrt_says_that_its_first_start_takes_minutes_and_only_then(bundle, tmp_path, monkeypatch, caplog):
    asked = []

    def build(_model, provider, _settings, options, *, behind, prepare):
        asked.append((provider, options, behind))
        prepare(None)
        return load(bundle.model, CPU, Settings())

    monkeypatch.setattr(providers, "load", build)
    settings = Settings(precision="half", device=1, cache_dir=tmp_path / "compiled")
    with caplog.at_level(logging.WARNING):
        providers.tensorrt(bundle.model, settings)
        (tmp_path / "compiled" / "tensorrt" / "model_sm87.engine").write_bytes(b"")
        providers.tensorrt(bundle.model, settings)

    assert [m.split(",")[0] for m in caplog.messages] == ["tensorrt: builds its engine for this GPU now"]
    provider, options, behind = asked[0]
    assert (provider, behind) == ("TensorrtExecutionProvider", ("CUDAExecutionProvider",))
    folder = str(tmp_path / "compiled" / "tensorrt")
    assert options == {
        "device_id": "1",
        "trt_fp16_enable": "1",
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": folder,
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": folder,
    }


def test_xnnpack_has_its_own_pool_and_onnxruntime_one_thread(bundle, monkeypatch):
    asked = []

    def build(_model, provider, settings, options):
        asked.append((provider, settings.threads, options))
        return load(bundle.model, CPU, settings)

    monkeypatch.setattr(providers, "load", build)
    providers.xnnpack(bundle.model, Settings(threads=4))

    assert asked == [("XnnpackExecutionProvider", 1, {"intra_op_num_threads": "4"})]


def test_threads_default_to_the_cores_that_may_be_used(bundle):
    assert Session(bundle).threads == len(os.sched_getaffinity(0))
    assert Session(bundle, SessionOptions(threads=1)).threads == 1


def test_low_memory_computes_the_same(bundle):
    images = picture(bundle)[None]
    small, fast = (Session(bundle, SessionOptions(threads=1, low_memory=low)) for low in (True, False))
    for name, value in fast.infer(images).items():
        np.testing.assert_array_equal(small.infer(images)[name], value)


def test_session_that_is_loaded_does_not_keep_the_models_file(bundle):
    kept = vars(Session(bundle)._runtime._session).values()
    assert not any(isinstance(value, bytes) for value in kept)


def test_first_run_leaves_no_buffers_that_later_runs_do_not_use(tmp_path):
    """Later runs lay theirs out in one block of 48 MB here; what the first took, piece by piece, was kept beside it."""
    nodes = [
        helper.make_node("Cast", ["image"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Sigmoid", ["floats"], ["shares"]),
        helper.make_node("Concat", ["floats", "shares"], ["both"], axis=3),
        helper.make_node("ReduceMax", ["both"], ["most"], keepdims=0),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", 1024, 1024, 3])
    most = helper.make_tensor_value_info("most", TensorProto.FLOAT, [])
    graph = helper.make_graph(nodes, "maps of 12, 12 and 24 MB", [image], [most])
    opset = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), tmp_path / "model.onnx")
    code = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "import numpy as np\n"
        "from edge.memory import give_back\n"
        "from edge.runtimes.onnx import CPU, OnnxRuntime, load\n"
        "from edge.runtimes.providers import cpu\n"
        "from edge.runtimes.runtime import Settings\n"
        "model, settings = Path(sys.argv[1]), Settings()\n"
        "images = np.full((1, 1024, 1024, 3), 7, np.uint8)\n"
        "runtime = cpu(model, settings) if sys.argv[2] == 'ours' else OnnxRuntime(load(model, CPU, settings), CPU)\n"
        "runtime.run(images, ['most'])\n"
        "give_back()\n"
        "assert [runtime.run(images, ['most'])[0].item() for _ in range(3)] == [7.0] * 3\n"
        "print(int(Path('/proc/self/statm').read_text().split()[1]) * resource.getpagesize() / 2**20)"
    )

    def resident_mb(how):
        command = [sys.executable, "-c", code, str(tmp_path / "model.onnx"), how]
        return float(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout)

    assert resident_mb("ours") < resident_mb("onnxruntime's") - 12


def test_compiled_models_of_two_bundles_are_kept_apart(tmp_path, bundle):
    if importlib.util.find_spec("openvino") is None:
        pytest.skip("needs openvino")
    other = read_bundle(classification_bundle(tmp_path / "colours"))
    for one in (bundle, other):
        Session(one, SessionOptions(("openvino",), threads=1, cache_dir=tmp_path / "compiled"))
    kept = {p.parts[len(Path(tmp_path).parts) + 1] for p in tmp_path.glob("compiled/*/openvino/*")}
    assert kept == {bundle.digest[:16], other.digest[:16]}


def test_openvino_is_imported_without_its_telemetry():
    """It would start a thread that reports the import over the network."""
    if importlib.util.find_spec("openvino") is None:
        pytest.skip("needs openvino with its telemetry")
    code = (
        "import sys, threading\n"
        "from edge.runtimes.openvino import _import\n"
        "_import().Core()\n"
        "assert sys.modules['openvino_telemetry'] is None\n"
        "print([t.name for t in threading.enumerate()])"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "['MainThread']"


@pytest.mark.parametrize("package", ["edge.runtimes.onnx", "export.run_onnx"])
def test_onnxruntime_is_loaded_without_its_telemetry(package, tmp_path):
    """It would keep a device id in the user's cache and report over the network."""
    model = str(classification_bundle(tmp_path / "bundle") / "model.onnx")
    home = tmp_path / "home"
    home.mkdir()
    code = (
        f"import sys, time, {package}, onnxruntime\n"
        "onnxruntime.InferenceSession(sys.argv[1], providers=['CPUExecutionProvider'])\n"
        "time.sleep(0.5)"
    )
    environment = {k: v for k, v in os.environ.items() if k != "ORT_DISABLE_TELEMETRY"} | {"HOME": str(home)}
    environment.pop("XDG_CACHE_HOME", None)
    subprocess.run([sys.executable, "-c", code, model], cwd=ROOT, env=environment, check=True)
    assert list(home.rglob("*")) == []

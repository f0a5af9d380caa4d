"""Updates piece by piece: the way in, the comparison, the state on the disk, the choice at the start."""

import functools
import hashlib
import http.server
import ssl
import subprocess
import threading

import bundles
import numpy as np
import pytest

from edge.bundle.bundle import read_bundle
from edge.bundle.trust import Trust
from edge.bundle.versions import Versions
from edge.config import UpdatesConfig
from edge.errors import BundleError, EdgeError
from edge.results import Classification, Detections
from edge.updates import Models, Request, Update
from edge.updates.compare import Comparison, agreement, findings
from edge.updates.download import DownloadError, DownloadRefusedError, Limits, download, shown
from edge.updates.host import NoAgent
from edge.updates.steps import Steps
from edge.updates.trial import Bounds, Trial, TrialError
from edge.updates.updater import Updater

BYTES = np.random.default_rng(1).bytes(300_000)
SHA256 = hashlib.sha256(BYTES).hexdigest()
LIMITS = Limits(1 << 20, silence_s=5)


class Handler(http.server.BaseHTTPRequestHandler):
    """A server that knows ranges, and can cut answers off."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        server = self.server
        server.asked.append(self.headers.get("Range"))
        if self.path == "/away":
            self.send_response(302)
            self.send_header("Location", "http://127.0.0.1:1/x")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if self.path != "/b.zip" or server.status != 200:
            self.send_error(404 if self.path != "/b.zip" else server.status)
            return
        start = 0
        same = self.headers.get("If-Range") == server.etag
        if self.headers.get("Range") and same:
            start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(server.body) - 1}/{len(server.body)}")
        else:
            self.send_response(200)
        self.send_header("ETag", server.etag)
        if server.tell_length:
            self.send_header("Content-Length", str(len(server.body) - start))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(server.body[start : start + server.cut])

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        [
            *(
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-days",
                "2",
            ),
            *("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", folder / "key.pem", "-out", folder / "cert.pem"),
        ],
        check=True,
        capture_output=True,
    )
    return folder


@pytest.fixture
def server(certificate):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.body, server.cut, server.asked, server.etag = BYTES, 1 << 30, [], '"v1"'
    server.status, server.tell_length = 200, True
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=functools.partial(server.serve_forever, 0.05))
    thread.start()
    server.url = f"https://127.0.0.1:{server.server_address[1]}/b.zip"
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def limits(certificate):
    return Limits(1 << 20, silence_s=5, ca_file=certificate / "cert.pem")


def test_download_when_it_is_cut_off_then_the_next_try_goes_on_from_there(server, limits, tmp_path):
    server.cut = 100_000
    with pytest.raises(DownloadError, match="cut off after 100000 of 300000"):
        download(server.url, SHA256, tmp_path, limits)
    server.cut = 1 << 30
    told = []
    found = download(server.url, SHA256, tmp_path, limits, tell=lambda have, of: told.append((have, of)))
    assert found.read_bytes() == BYTES
    assert server.asked == [None, "bytes=100000-"]
    assert told[-1] == (300_000, 300_000)
    assert download(server.url, SHA256, tmp_path, limits) == found
    assert len(server.asked) == 2, "what is there is not fetched again"


def test_download_when_it_changed_meanwhile_then_it_starts_anew(server, limits, tmp_path):
    server.body, server.etag, server.cut = bytes(300_000), '"v0"', 1000
    with pytest.raises(DownloadError):
        download(server.url, SHA256, tmp_path, limits)
    server.body, server.etag, server.cut = BYTES, '"v1"', 1 << 30
    assert download(server.url, SHA256, tmp_path, limits).read_bytes() == BYTES


def test_download_when_the_digest_is_another_then_nothing_is_kept(server, limits, tmp_path):
    with pytest.raises(DownloadRefusedError, match="SHA-256"):
        download(server.url, "0" * 64, tmp_path, limits)
    assert not list(tmp_path.glob("*.zip"))
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("tell_length", [True, False])
def test_download_when_it_is_too_large_then_it_is_cut_short(server, certificate, tmp_path, tell_length):
    server.tell_length = tell_length
    small = Limits(100_000, silence_s=5, ca_file=certificate / "cert.pem")
    with pytest.raises(DownloadRefusedError, match=r"more than updates\.max_bytes"):
        download(server.url, SHA256, tmp_path, small)
    assert sum(p.stat().st_size for p in tmp_path.iterdir()) < 1000


def test_download_when_the_server_has_trouble_then_later_and_when_it_says_no_then_never(server, limits, tmp_path):
    server.status = 503
    with pytest.raises(DownloadError, match="503"):
        download(server.url, SHA256, tmp_path, limits)
    with pytest.raises(DownloadRefusedError, match="404"):
        download(server.url + "x", SHA256, tmp_path, limits)
    with pytest.raises(DownloadRefusedError, match="not https"):
        download(server.url.replace("/b.zip", "/away"), SHA256, tmp_path, limits)


def test_download_when_the_certificate_is_unknown_then_refused(server, tmp_path):
    with pytest.raises(DownloadRefusedError, match="ca_file"):
        download(server.url, SHA256, tmp_path, LIMITS)


def test_download_when_nobody_listens_then_later(tmp_path):
    with pytest.raises(DownloadError):
        download("https://127.0.0.1:1/x", SHA256, tmp_path, LIMITS)


def test_download_when_it_is_a_file_then_copied_and_a_folder_or_a_pipe_is_not(tmp_path):
    source = tmp_path / "b c.zip"
    source.write_bytes(BYTES)
    folder = tmp_path / "in"
    folder.mkdir()
    assert download(source.as_uri(), SHA256, folder, LIMITS).read_bytes() == BYTES
    with pytest.raises(DownloadRefusedError):
        download(tmp_path.as_uri(), SHA256[::-1], folder, LIMITS)
    with pytest.raises(DownloadRefusedError, match="No such file"):
        download((tmp_path / "none").as_uri(), SHA256[::-1], folder, LIMITS)
    (tmp_path / "zero").symlink_to("/dev/zero")
    with pytest.raises(DownloadRefusedError, match="regular"):
        download((tmp_path / "zero").as_uri(), SHA256[::-1], folder, LIMITS)


def test_shown_when_a_url_has_secrets_then_they_are_left_out():
    assert shown("https://u:p@h.example:8443/a/b.zip?X-Amz-Signature=1") == "https://h.example:8443/a/b.zip"


IMAGE = np.zeros((100, 100, 3), np.uint8)


def detections(*rows):
    boxes = np.array([r[2] for r in rows], np.float32).reshape(-1, 4)
    return Detections(boxes, np.array([r[1] for r in rows], np.float32), np.array([r[0] for r in rows], np.int64))


def test_agreement_when_boxes_overlap_then_they_are_paired_once_and_by_label():
    labels, known = ["a", "b"], frozenset({"a", "b"})
    old = findings(detections((0, 0.9, (0, 0, 10, 10)), (1, 0.8, (20, 20, 30, 30))), IMAGE, labels, threshold=0)
    assert agreement(old, old, known=known) == 1.0
    moved = findings(detections((0, 0.9, (2, 0, 12, 10)), (1, 0.8, (60, 20, 70, 30))), IMAGE, labels, threshold=0)
    assert agreement(old, moved, known=known) == 0.5
    other = findings(detections((1, 0.9, (0, 0, 10, 10))), IMAGE, labels, threshold=0)
    assert agreement(old[:1], other, known=known) == 0.0
    twice = findings(detections((0, 0.9, (0, 0, 10, 10)), (0, 0.9, (0, 0, 10, 10))), IMAGE, labels, threshold=0)
    assert agreement(old[:1], twice, known=known) == pytest.approx(2 / 3)
    assert agreement([], [], known=known) == 1.0
    assert agreement(old[:1], other, known=frozenset({"a"})) == 0.0
    assert agreement([], other, known=frozenset({"a"})) == 1.0, "a class that it has learnt is no disagreement"


def test_agreement_when_it_is_a_classification_then_the_best_class_counts():
    found = findings(
        Classification(np.array([1, 0]), np.array([0.9, 0.1], np.float32)), IMAGE, ["a", "b"], threshold=0.5
    )
    assert [f[0] for f in found] == ["b"]
    assert findings(Classification(np.array([1]), np.array([0.4], np.float32)), IMAGE, ["a", "b"], threshold=0.5) == []


def test_comparison_when_slow_or_different_then_it_says_by_how_much():
    comparison = Comparison()
    assert comparison.verdict(min_agreement=1, max_slowdown=1) is None, (
        "without frames there is nothing to hold against it"
    )
    for _ in range(3):
        comparison.add(0.6, old_ms=10, new_ms=35)
    assert "0.60" in comparison.verdict(min_agreement=0.7, max_slowdown=4)
    assert "35.0 ms" in comparison.verdict(min_agreement=0.5, max_slowdown=2)
    assert comparison.verdict(min_agreement=0.5, max_slowdown=4) is None


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """Three bundles that differ in their digest."""
    folder = tmp_path_factory.mktemp("three")
    return [read_bundle(bundles.detection_bundle(folder / f"b{i}", rounds=i)) for i in range(3)]


@pytest.fixture
def models(tmp_path, three):
    """The second installed and active over the first."""
    import shutil

    models = Models(tmp_path / "n1.models")
    assert models.own()
    for bundle in three[1:]:
        shutil.copytree(bundle.path, models.path(bundle.digest))
    models.save(models.state.model_copy(update={"active": three[1].digest, "base": three[0].digest}))
    yield models
    models.release()


def on_its_way(phase, digest, starts=0):
    request = Request(id="u1", url="https://x/y", sha256="0" * 64)
    return Update(request=request, phase=phase, digest=digest, starts=starts)


def test_models_when_one_is_installed_then_it_is_chosen_after_a_restart_too(models, three):
    assert models.choose(lambda: three[0], Trust()).digest == three[1].digest
    models.release()
    again = Models(models.folder)
    assert again.own()
    assert again.choose(lambda: three[0], Trust()).digest == three[1].digest
    other = Models(models.folder)
    assert not other.own(), "one process has it"
    again.release()


def test_models_when_the_active_one_is_damaged_then_the_one_before_then_the_configured(models, three):
    models.save(models.state.model_copy(update={"active": three[2].digest, "previous": three[1].digest}))
    (models.path(three[2].digest) / "model.onnx").write_bytes(b"x")
    assert models.choose(lambda: three[0], Trust()).digest == three[1].digest
    (models.path(three[1].digest) / "model.onnx").unlink()
    assert models.choose(lambda: three[0], Trust()).digest == three[0].digest
    assert models.state.active is None

    def gone():
        raise BundleError("gone")

    with pytest.raises(EdgeError, match="gone"):
        models.choose(gone, Trust())


def test_models_when_the_configured_bundle_is_gone_then_the_installed_one_starts(models, three):
    def gone():
        raise BundleError("gone")

    assert models.choose(gone, Trust()).digest == three[1].digest


def test_models_when_a_person_configures_another_bundle_then_it_counts(models, three):
    assert models.choose(lambda: three[2], Trust()).digest == three[2].digest
    assert models.state.active is None


def test_models_when_a_model_on_trial_lets_nothing_live_then_it_is_rolled_back_by_the_start(models, three):
    trial = on_its_way("watching", three[2].digest)
    models.save(
        models.state.model_copy(update={"active": three[2].digest, "previous": three[1].digest, "update": trial})
    )
    chosen = [models.choose(lambda: three[0], Trust()).digest for _ in range(4)]
    assert chosen == [three[2].digest] * 3 + [three[1].digest]
    assert models.state.update.phase == "rolled_back"
    assert "ended 3 times" in models.state.update.reason


def test_watch_when_no_camera_gives_a_frame_then_it_comes_to_an_end_with_the_old_model(models, three, options):
    class Blind(NoAgent):
        lives = True

        def switch(self, stage):
            self.now = stage

    host = Blind(three[2], lambda _: options)
    host.load = lambda bundle: bundle
    models.save(
        models.state.model_copy(
            update={
                "active": three[2].digest,
                "previous": three[1].digest,
                "update": on_its_way("watching", three[2].digest),
            }
        )
    )
    settings = UpdatesConfig(watch_s=0.1, watch_longest_s=0.6)
    versions = Versions(models.folder.parent, "n1")
    steps = Steps(models, host, settings, Trust(), versions, configured=lambda: three[0], stopping=lambda: False)

    ended = Updater(steps, lambda _: None).carry_out()

    assert ended.phase == "rolled_back"
    assert "no camera has given it a frame in 0.6 s" in ended.reason
    assert host.now.digest == models.state.active == three[1].digest


def test_models_when_it_stops_in_good_order_then_its_starts_do_not_add_up(models, three):
    trial = on_its_way("watching", three[2].digest)
    models.save(models.state.model_copy(update={"active": three[2].digest, "update": trial}))
    for _ in range(6):
        assert models.choose(lambda: three[0], Trust()).digest == three[2].digest
        models.stopped()


def test_models_when_its_state_is_damaged_then_the_configured_one_starts_and_the_file_is_kept(models, three):
    models.release()
    (models.folder / "state.json").write_text("{")
    again = Models(models.folder)
    assert again.own()
    assert again.choose(lambda: three[0], Trust()).digest == three[0].digest
    assert list(models.folder.glob("state.damaged-*"))
    again.release()


@pytest.fixture(scope="module")
def options():
    from edge.session import SessionOptions

    return SessionOptions(threads=1)


def test_trial_when_a_model_is_sound_then_it_tells_and_finds(three, options):
    with Trial(three[0], options, Bounds(1 << 31, 60, 60)) as trial:
        trial.prove()
        assert trial.told["frame_ms"] > 0
        found, ms = trial.look(bundles.squares_picture(160, 120, {"red": (10, 10, 40)}))
        assert [f[0] for f in found] == ["red"]
        assert ms > 0


def test_trial_when_the_golden_sample_differs_then_refused(tmp_path, options):
    folder = bundles.detection_bundle(tmp_path / "b", golden=False)
    import json

    wrong = bundles.golden_files(
        bundles.squares_picture(160, 120, {"red": (10, 10, 40)}),
        [{"label_id": 2, "score": 1.0, "box": [0, 0, 9, 9]}],
        threshold=0.5,
        score=0.1,
        box_px=1.0,
    )
    manifest = json.loads((folder / "manifest.json").read_text())
    for name, data in wrong.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)
        manifest["files"][name] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with (
        Trial(read_bundle(folder), options, Bounds(1 << 31, 60, 60)) as trial,
        pytest.raises(TrialError, match="golden sample does not come out"),
    ):
        trial.prove()


def test_trial_when_another_thread_ends_it_then_nobody_waits(three, options):
    trial = Trial(three[0], options, Bounds(1 << 31, 60, 60))
    timer = threading.Timer(0.2, trial.kill)
    timer.start()

    def look_for_ever():
        trial.prove()
        while True:
            trial.look(np.zeros((8, 8, 3), np.uint8))

    with trial, pytest.raises(TrialError, match=r"was ended|signal"):
        look_for_ever()
    timer.join()

"""The way in of a new model: a real server that cuts answers off, changes its mind and has no known certificate."""

import functools
import hashlib
import http.server
import ssl
import subprocess
import threading

import numpy as np
import pytest

from edge.updates.download import DownloadError, DownloadRefusedError, Limits, download, shown

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

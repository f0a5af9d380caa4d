"""An archive from the net or the disk to a file that has the SHA-256 it must have; goes on where it was cut off.

HTTP's Range and If-Range (RFC 9110, 13 and 14). Only https and file: the digest would tell a forged archive anyway, but
not who else knows what this node is about to run. Redirects lead to https alone.
"""

import hashlib
import http.client
import os
import re
import shutil
import ssl
import stat
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote, urlsplit

from edge.errors import PermanentError, TemporaryError

__all__ = ["DownloadError", "DownloadRefusedError", "Limits", "download", "place_of", "shown"]

_CHUNK = 1 << 16
_LATER = frozenset({408, 425, 429, 500, 502, 503, 504})
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


class DownloadError(TemporaryError, OSError):
    """It was cut off, or the server is away: another try goes on from there."""


class DownloadRefusedError(PermanentError, ValueError):
    """It will never be what was asked for."""


@dataclass(frozen=True, slots=True)
class Limits:
    """`max_bytes` of an archive, seconds without a byte, and whom to trust when not the system's authorities."""

    max_bytes: int
    silence_s: float = 20.0
    ca_file: Path | None = None


def place_of(sha256: str, folder: Path) -> Path:
    """Where in `folder` the archive of that digest lies when all of it is there."""
    return folder / f"{sha256}.zip"


def download(
    url: str,
    sha256: str,
    folder: Path,
    limits: Limits,
    *,
    tell: Callable[[int, int | None], None] = lambda _have, _of: None,
    stop: Callable[[], bool] = lambda: False,
) -> Path:
    """The archive at `url`, in `folder`, once all of it is there and its digest is `sha256`.

    `tell` hears how many bytes of how many are there. What was cut off stays as a file, and the next call goes on.

    Raises:
        DownloadError: cut off, or the server is away; also when `stop` says so.
        DownloadRefusedError: too large, not found, or another digest: nothing is kept.
    """
    done, part = place_of(sha256, folder), folder / f"{sha256}.part"
    if done.exists():
        if _digest(done) == sha256:
            return done
        done.unlink()
    scheme = urlsplit(url).scheme
    try:
        if scheme == "file":
            _copy(Path(unquote(urlsplit(url).path)), part, limits, tell, stop)
        else:
            _fetch(url, part, limits, tell, stop)
        _refuse_another(part, sha256, shown(url))
        part.replace(done)
    except (DownloadError, DownloadRefusedError):
        raise
    except (OSError, http.client.HTTPException) as e:
        reason = getattr(e, "reason", None) or getattr(e, "strerror", None) or e
        raise DownloadError(f"{shown(url)}: {reason}") from e
    return done


def shown(url: str) -> str:
    """A URL as it may be logged: without credentials and without its query, which may be a signature."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    return f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}{parts.path}"


def _copy(
    source: Path, part: Path, limits: Limits, tell: Callable[[int, int | None], None], stop: Callable[[], bool]
) -> None:
    try:
        with source.open("rb") as f:
            status = os.fstat(f.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise DownloadRefusedError(f"{source}: is not a regular file")
            _refuse_too_large(str(source), status.st_size, 0, part, limits)
            _pour(f, part, "wb", 0, status.st_size, str(source), limits, tell, stop)
    except (FileNotFoundError, PermissionError, IsADirectoryError) as e:
        raise DownloadRefusedError(f"{source}: {e.strerror}") from e


def _fetch(
    url: str, part: Path, limits: Limits, tell: Callable[[int, int | None], None], stop: Callable[[], bool]
) -> None:
    have = part.stat().st_size if part.exists() else 0
    tag_file = part.with_suffix(".etag")
    request = urllib.request.Request(url, headers={"Accept-Encoding": "identity", "User-Agent": "gluon-edge"})  # noqa: S310 - Request's pattern lets through https alone
    if have and tag_file.exists():
        request.add_header("Range", f"bytes={have}-")
        # Should it have changed meanwhile, the whole of it comes.
        request.add_header("If-Range", tag_file.read_text())
    else:
        have = 0
    try:
        answer = _opener(limits).open(request, timeout=limits.silence_s)
    except urllib.error.HTTPError as e:
        e.close()
        if e.code == 416:
            part.unlink(missing_ok=True)
        if e.code in _LATER or e.code == 416:
            raise DownloadError(f"{shown(url)}: the server says {e.code}") from e
        raise DownloadRefusedError(f"{shown(url)}: the server says {e.code} {e.reason}") from e
    except urllib.error.URLError as e:
        if isinstance(e.reason, ssl.SSLCertVerificationError):
            raise DownloadRefusedError(f"{shown(url)}: {e.reason.verify_message}; see updates.ca_file") from e
        raise
    with answer:
        span = _RANGE.fullmatch(answer.headers.get("Content-Range", "")) if answer.status == 206 else None
        if span is None or int(span[1]) != have:
            have = 0
        tag = answer.headers.get("ETag", "")
        if tag.startswith('"'):  # a weak one does not promise the same bytes
            tag_file.write_text(tag)
        else:
            tag_file.unlink(missing_ok=True)
        length = answer.headers.get("Content-Length", "")
        total = have + int(length) if length.isdecimal() else None
        _refuse_too_large(shown(url), total, have, part, limits)
        _pour(answer, part, "ab" if have else "wb", have, total, shown(url), limits, tell, stop)


class _HttpsOnly(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if urlsplit(newurl).scheme != "https":
            raise DownloadRefusedError(f"{shown(req.full_url)}: leads to {shown(newurl)}, which is not https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener(limits: Limits) -> urllib.request.OpenerDirector:
    context = ssl.create_default_context(cafile=str(limits.ca_file) if limits.ca_file else None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return urllib.request.build_opener(urllib.request.HTTPSHandler(context=context), _HttpsOnly())


def _refuse_too_large(what: str, total: int | None, have: int, part: Path, limits: Limits) -> None:
    if total is not None and total > limits.max_bytes:
        part.unlink(missing_ok=True)
        raise DownloadRefusedError(f"{what}: {total} bytes, more than updates.max_bytes = {limits.max_bytes}")
    free = shutil.disk_usage(part.parent).free
    if total is not None and total - have > free:
        raise DownloadError(f"{what}: {total - have} bytes to come, and {free} free on the disk")


def _pour(
    source: IO[bytes] | Any,
    part: Path,
    mode: str,
    have: int,
    total: int | None,
    what: str,
    limits: Limits,
    tell: Callable[[int, int | None], None],
    stop: Callable[[], bool],
) -> None:
    with part.open(mode) as out:
        while chunk := source.read(_CHUNK):
            have += len(chunk)
            if have > limits.max_bytes:
                out.close()
                part.unlink()
                raise DownloadRefusedError(f"{what}: more than updates.max_bytes = {limits.max_bytes}")
            out.write(chunk)
            tell(have, total)
            if stop():
                raise DownloadError(f"{what}: stopped")
        out.flush()
        os.fsync(out.fileno())
    if total is not None and have < total:
        raise DownloadError(f"{what}: cut off after {have} of {total} bytes")


def _refuse_another(part: Path, sha256: str, what: str) -> None:
    found = _digest(part)
    if found != sha256:
        part.unlink()
        raise DownloadRefusedError(f"{what}: has SHA-256 {found[:16]}..., not {sha256[:16]}... as was said")


def _digest(path: Path) -> str:
    total = hashlib.sha256()
    with path.open("rb") as f:
        while chunk := f.read(1 << 20):
            total.update(chunk)
    return total.hexdigest()

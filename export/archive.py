"""Unpacking a `.tar.gz` from outside: regular flat files alone, bounded in number, size and ratio.

Nothing is extracted by the archive's own word: each member's header is judged before its content is read, and the
content goes to a file whose name passed a pattern. Headers that carry data of their own (long names, PAX records)
are bounded too, since the library reads those into memory.
"""

from __future__ import annotations

import gzip
import re
import tarfile
import zlib
from pathlib import Path
from typing import IO, Any, Final

from export.errors import SourceError

__all__ = ["unpack"]

_MAX_FILES: Final = 64
_MAX_TOTAL_BYTES: Final = 4 << 30
_MAX_HEADER_BYTES: Final = 64 << 10
# Weights hardly compress; text does, but is small.
_MAX_RATIO: Final = 50
_FREE_BYTES: Final = 16 << 20
_CHUNK: Final = 1 << 20
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_CARRIES_DATA: Final = {
    tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK,
}  # fmt: skip


def unpack(path: Path, folder: Path) -> dict[str, Path]:
    """The archive's files by name, written into `folder`.

    Raises:
        SourceError: not a gzipped tar, damaged, or something in it is not what a model's archive holds; the message
            names the member.
    """
    files: dict[str, Path] = {}
    try:
        with path.open("rb") as raw, gzip.GzipFile(fileobj=raw) as plain:
            allowed = min(_MAX_TOTAL_BYTES, path.stat().st_size * _MAX_RATIO + _FREE_BYTES)
            bounded: Any = _Bounded(plain, path, allowed)
            with tarfile.open(fileobj=bounded, mode="r|", tarinfo=_Header) as tar:
                for member in tar:
                    if member.isdir():
                        continue
                    name = _judged(path, member, files)
                    content = tar.extractfile(member)
                    if content is None:
                        raise SourceError(f"{path}: {name} has no content")
                    files[name] = _written(content, folder / name)
            # To the very end, where gzip keeps the checksum of all that came before.
            while bounded.read(_CHUNK):
                pass
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error, ValueError, OverflowError) as exc:
        if isinstance(exc, SourceError):
            raise
        raise SourceError(f"{path}: not a .tar.gz, or damaged ({exc}); copy it again") from exc
    except OSError as exc:
        raise SourceError(f"{path}: cannot be unpacked ({exc.strerror or exc})") from exc
    return files


def _judged(path: Path, member: tarfile.TarInfo, files: dict[str, Path]) -> str:
    name = member.name.removeprefix("./")
    if not member.isreg() or member.issparse():
        raise SourceError(f"{path}: {member.name!r} is not a regular file (a link, a device or a sparse file)")
    if not _NAME.fullmatch(name):
        raise SourceError(f"{path}: {member.name!r} is not the plain name of a file; a model's archive is flat")
    if name in files:
        raise SourceError(f"{path}: {name} is in the archive twice")
    if len(files) >= _MAX_FILES:
        raise SourceError(f"{path}: more than {_MAX_FILES} files")
    return name


def _written(content: IO[bytes], target: Path) -> Path:
    with target.open("xb") as file:
        while chunk := content.read(_CHUNK):
            file.write(chunk)
    return target


class _Header(tarfile.TarInfo):
    """A member's header, refused before the library acts on a size that it claims."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str | None, errors: str) -> _Header:
        header: _Header = super().frombuf(buf, encoding, errors)  # type: ignore[arg-type]
        if header.size < 0 or (header.type in _CARRIES_DATA and header.size > _MAX_HEADER_BYTES):
            raise SourceError(f"a header claims {header.size} bytes; the archive is damaged or hostile")
        return header


class _Bounded:
    """What the tar reader may see of the decompressed bytes, and no more."""

    def __init__(self, plain: gzip.GzipFile, path: Path, allowed: int) -> None:
        self._plain = plain
        self._path = path
        self._left = self._allowed = allowed

    def read(self, size: int) -> bytes:
        """At most `size` bytes."""
        data = self._plain.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise SourceError(f"{self._path}: unpacks to more than {self._allowed} bytes, which is refused")
        return data

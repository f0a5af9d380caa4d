"""The files of a bundle's folder or zip, read with bounds: regular files only, no way out, no more than was allowed."""

import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final, Protocol

from edge.bundle.manifest import MANIFEST, MAX_BYTES, MAX_FILES
from edge.errors import BundleError

__all__ = ["BundleFiles", "open_bundle_files"]

_MAX_ENTRIES: Final = MAX_FILES + 2  # with the manifest and the signature
_END: Final = struct.Struct("<4s4H2LH")  # zip's end of central directory (APPNOTE 4.3.16)
_MAX_DIRECTORY_BYTES: Final = _MAX_ENTRIES * 1024
# Weights hardly compress; text does, but is small.
_MAX_RATIO: Final = 50
_FREE_BYTES: Final = 1 << 20
_METHODS: Final = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_ENCRYPTED: Final = 1


class BundleFiles(Protocol):
    """Where a bundle's files come from."""

    def read(self, name: str, limit: int) -> bytes:
        """At most `limit` + 1 bytes of a file, however much it claims or inflates to.

        Raises:
            BundleError: when it is missing, not a regular file, or damaged.
        """

    def has(self, name: str) -> bool:
        """Whether there is such a file."""

    def refuse_others(self, names: Collection[str]) -> None:
        """Refuses what should hold these files and nothing else, and holds more.

        Raises:
            BundleError: naming the first that is too much.
        """


@contextmanager
def open_bundle_files(path: Path) -> Iterator[BundleFiles]:
    """The files of a bundle's folder or zip.

    Raises:
        BundleError: when there is none, or it is neither.
    """
    if path.is_dir():
        yield _Folder(path)
        return
    if not path.exists():
        raise BundleError(f"{path}: no such bundle; make one with 'gluon-export convert'")
    if not path.is_file():
        raise BundleError(f"{path}: neither a bundle folder nor a zip file")
    try:
        with path.open("rb") as file:
            _judge_directory(path, file)
            with zipfile.ZipFile(file) as archive:
                yield _Zip(path, archive)
    except (zipfile.BadZipFile, NotImplementedError) as e:
        raise BundleError(f"{path}: neither a bundle folder nor a zip: {e}") from e
    except OSError as e:
        raise BundleError(f"{path}: {e.strerror or e}") from e


class _Folder:
    def __init__(self, root: Path) -> None:
        self.root = root

    def read(self, name: str, limit: int) -> bytes:
        path = self.root / name
        try:
            if any(p.is_symlink() for p in [path, *list(path.parents)[: name.count("/")]]):
                raise BundleError(f"{self.root}: {name} is not a regular file")
            # A pipe must not be waited for.
            with open(path, "rb", opener=lambda p, flags: os.open(p, flags | os.O_NOFOLLOW | os.O_NONBLOCK)) as f:
                if not stat.S_ISREG(os.fstat(f.fileno()).st_mode):
                    raise BundleError(f"{self.root}: {name} is not a regular file")
                return f.read(limit + 1)
        except FileNotFoundError:
            hint = "; not a bundle? make one with 'gluon-export convert'" if name == MANIFEST else ""
            raise BundleError(f"{self.root}: {name} is missing{hint}") from None
        except OSError as e:
            raise BundleError(f"{self.root}: {name}: {e.strerror}") from e

    def has(self, name: str) -> bool:
        return os.path.lexists(self.root / name)

    def refuse_others(self, names: Collection[str]) -> None:
        """A folder may hold more, such as the MXNet files beside it; nothing of that is ever read."""


class _Zip:
    """Every entry is judged by its header before any is read."""

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self.path = path
        self.archive = archive
        entries = archive.infolist()
        names = [entry.filename for entry in entries]
        if len(set(names)) != len(names):
            raise BundleError(f"{path}: an entry occurs twice")
        if sum(entry.file_size for entry in entries) > MAX_BYTES:
            raise BundleError(f"{path}: unpacks to more than {MAX_BYTES} bytes")
        for entry in entries:
            self._judge(entry)

    def read(self, name: str, limit: int) -> bytes:
        try:
            with self.archive.open(name) as f:
                return f.read(limit + 1)
        except KeyError:
            raise BundleError(f"{self.path}: {name} is missing") from None
        except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError) as e:
            raise BundleError(f"{self.path}: {name}: {e}") from e

    def has(self, name: str) -> bool:
        return name in self.archive.NameToInfo

    def refuse_others(self, names: Collection[str]) -> None:
        others = set(self.archive.NameToInfo) - set(names)
        if others:
            raise BundleError(f"{self.path}: holds {min(others)!r}, of which the manifest knows nothing")

    def _judge(self, entry: zipfile.ZipInfo) -> None:
        name = entry.filename
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if entry.is_dir() or kind not in {0, stat.S_IFREG}:
            raise BundleError(f"{self.path}: {name!r} is not a regular file (a folder, a link or a device)")
        if entry.compress_type not in _METHODS or entry.flag_bits & _ENCRYPTED:
            raise BundleError(f"{self.path}: {name!r} is encrypted or packed in a way that no bundle is")
        if entry.file_size > entry.compress_size * _MAX_RATIO + _FREE_BYTES:
            raise BundleError(f"{self.path}: {name!r} unpacks to more than {_MAX_RATIO} times its size")


def _judge_directory(path: Path, file: IO[bytes]) -> None:
    """Refuses a zip whose list of entries is longer than a bundle's, before the library reads it into memory."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _END.size))
    tail = file.read(_END.size)
    if len(tail) < _END.size or not tail.startswith(b"PK\5\6"):
        raise BundleError(f"{path}: neither a bundle folder nor a zip, or truncated, or a zip with a comment")
    _, disk, first_disk, here, entries, directory, _, _ = _END.unpack(tail)
    if disk or first_disk or here != entries or entries > _MAX_ENTRIES or directory > _MAX_DIRECTORY_BYTES:
        raise BundleError(f"{path}: lists more than the {MAX_FILES} files that a bundle may have")
    file.seek(0)

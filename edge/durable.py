"""Files that are there whole or not at all, whatever ends the process or the power."""

import os
from pathlib import Path

__all__ = ["replace_file", "sync_folder", "write_file"]


def replace_file(path: Path, text: str) -> None:
    """Puts a text in the place of what a file held; after a crash it is one or the other.

    Written beside it, on the disk before it is renamed, and the folder's entry after that: the order that ext4, xfs and
    btrfs promise to keep ("Files are hard", danluu.com/file-consistency, tells what goes wrong otherwise).

    Raises:
        OSError: when it cannot be written; what was there stays.
    """
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    try:
        write_file(fresh, text.encode())
        fresh.replace(path)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_file(path: Path, data: bytes) -> None:
    """Writes a new file, and returns when it is on the disk.

    Raises:
        OSError: when it exists, or cannot be written.
    """
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Returns when a folder's entries are on the disk.

    Raises:
        OSError: when the disk fails.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

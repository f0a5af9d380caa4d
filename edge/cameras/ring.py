"""Frames in memory that two processes share: the reader writes into slots, the agent looks at them where they lie.

The memory is a memfd, which has no name: when both processes are gone, killed or not, so is the memory. A slot is lent
with its picture and comes back by itself when no array looks at it any more, so nobody can see it overwritten.
"""

import fcntl
import mmap
import os
import tempfile
import weakref

import numpy as np
from numpy.typing import NDArray

from edge.frame import Image

__all__ = ["MAX_PIXELS", "SLOTS", "RingReader", "RingWriter"]

SLOTS = 8
"""One being written, one on its way, one waiting for the model, one in it, one that events show; the rest is room."""

MAX_PIXELS = 1 << 26
_PAGE = 4096
_FREE, _LENT = 0, 1


def _stride(height: int, width: int) -> int:
    return -(-height * width * 3 // _PAGE) * _PAGE


def _size(height: int, width: int) -> int:
    return _PAGE + SLOTS * _stride(height, width)


class RingWriter:
    """The reader's side: pictures of one size, uint8 [height, width, 3]. `descriptor` goes to the other process."""

    def __init__(self, height: int, width: int) -> None:
        self.height, self.width = height, width
        self.descriptor = _anonymous()
        size = _size(height, width)
        os.ftruncate(self.descriptor, size)
        _seal(self.descriptor)
        self._memory = mmap.mmap(self.descriptor, size)
        self._slots = [
            np.frombuffer(self._memory, np.uint8, height * width * 3, _PAGE + i * _stride(height, width)).reshape(
                height, width, 3
            )
            for i in range(SLOTS)
        ]

    def free(self) -> int | None:
        """A slot that nobody looks at; the lowest, so that no more memory is touched than is needed."""
        return next((i for i in range(SLOTS) if self._memory[i] == _FREE), None)

    def slot(self, number: int) -> Image:
        """Where a picture is written."""
        return self._slots[number]

    def lend(self, number: int) -> None:
        """Leaves the slot to the other side until it gives it back."""
        self._memory[number] = _LENT

    def take_back(self, number: int) -> None:
        """What was lent did not get away."""
        self._memory[number] = _FREE

    def close(self) -> None:
        """Closes the descriptor; the memory goes with its last user."""
        os.close(self.descriptor)


class RingReader:
    """The agent's side.

    Raises:
        ValueError: when the descriptor does not hold what it should.
    """

    def __init__(self, descriptor: int, height: int, width: int) -> None:
        self.height, self.width = height, width
        if not (0 < height * width <= MAX_PIXELS):
            raise ValueError(f"{width}x{height} is no size of a picture")
        size = _size(height, width)
        if os.fstat(descriptor).st_size < size:
            raise ValueError("shorter than its pictures")
        self._memory = mmap.mmap(descriptor, size)
        self._pages = np.frombuffer(self._memory, np.uint8)

    def lent(self) -> int:
        """How many slots are on this side."""
        return self._memory[:SLOTS].count(_LENT)

    def view(self, number: int) -> Image:
        """The picture in a slot, read-only. The slot goes back when this array and every view of it are gone."""
        if not 0 <= number < SLOTS:
            raise ValueError(f"there is no slot {number}")
        return np.asarray(_Loan(self._pages, self._memory, number, (self.height, self.width, 3)))

    def give_back(self, number: int) -> None:
        """Returns a slot that was not looked at."""
        if 0 <= number < SLOTS:
            _give_back(self._memory, number)


class _Loan:
    """A slot as numpy takes it up: every array made of it keeps this very object, whatever it was sliced from."""

    def __init__(self, pages: NDArray[np.uint8], memory: mmap.mmap, number: int, shape: tuple[int, int, int]) -> None:
        self._pages = pages  # numpy is given an address: the memory has to outlive it
        start = _PAGE + number * _stride(*shape[:2])
        address = pages.ctypes.data + start
        self.__array_interface__ = {"version": 3, "typestr": "|u1", "shape": shape, "data": (address, True)}
        weakref.finalize(self, _give_back, memory, number).atexit = False


def _give_back(memory: mmap.mmap, number: int) -> None:
    memory[number] = _FREE


def _anonymous() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("gluon-edge-frames", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with tempfile.TemporaryFile() as file:  # has no name either
        return os.dup(file.fileno())


def _seal(descriptor: int) -> None:
    """Memory that became shorter would kill whoever looks at it."""
    if hasattr(fcntl, "F_ADD_SEALS") and hasattr(os, "memfd_create"):
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)

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


Large = tuple[int, int]
"""Height and width of the larger picture (I420) behind each picture; 0 and 0 for none."""

_NONE: Large = (0, 0)


def _stride(height: int, width: int, large: Large) -> int:
    return -(-(height * width * 3 + large[0] * large[1] * 3 // 2) // _PAGE) * _PAGE


def _size(height: int, width: int, large: Large) -> int:
    return _PAGE + SLOTS * _stride(height, width, large)


class RingWriter:
    """The reader's side: pictures of one size, uint8 [height, width, 3]. `descriptor` goes to the other process.

    With `large` each slot has room for the same moment in a larger size as well, I420.
    """

    def __init__(self, height: int, width: int, large: Large = _NONE) -> None:
        self.height, self.width, self.large = height, width, large
        self.descriptor = _anonymous()
        size = _size(height, width, large)
        os.ftruncate(self.descriptor, size)
        _seal(self.descriptor)
        self._memory = mmap.mmap(self.descriptor, size)
        starts = [_PAGE + i * _stride(height, width, large) for i in range(SLOTS)]
        bytes_, rows = height * width * 3, large[0] * 3 // 2
        self._slots = [
            np.frombuffer(self._memory, np.uint8, bytes_, start).reshape(height, width, 3) for start in starts
        ]
        self._larges = [
            np.frombuffer(self._memory, np.uint8, rows * large[1], start + bytes_).reshape(rows, large[1])
            for start in starts
        ]

    def free(self) -> int | None:
        """A slot that nobody looks at; the lowest, so that no more memory is touched than is needed."""
        return next((i for i in range(SLOTS) if self._memory[i] == _FREE), None)

    def slot(self, number: int) -> Image:
        """Where a picture is written."""
        return self._slots[number]

    def large_slot(self, number: int) -> NDArray[np.uint8]:
        """Where the larger one is written, I420: uint8 [height * 3 / 2, width] of `large`."""
        return self._larges[number]

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

    def __init__(self, descriptor: int, height: int, width: int, large_height: int = 0, large_width: int = 0) -> None:
        self.height, self.width, self.large = height, width, (large_height, large_width)
        if not (0 < height * width <= MAX_PIXELS and 0 <= large_height * large_width <= MAX_PIXELS):
            raise ValueError(f"{width}x{height} is no size of a picture")
        size = _size(height, width, self.large)
        if os.fstat(descriptor).st_size < size:
            raise ValueError("shorter than its pictures")
        self._memory = mmap.mmap(descriptor, size)
        self._pages = np.frombuffer(self._memory, np.uint8)

    def lent(self) -> int:
        """How many slots are on this side."""
        return self._memory[:SLOTS].count(_LENT)

    def view(self, number: int) -> Image:
        """The picture in a slot, read-only. The slot goes back when this array and every view of it are gone."""
        return self.views(number)[0]

    def views(self, number: int) -> tuple[Image, NDArray[np.uint8]]:
        """The picture, and the larger one (I420, empty when there is none); the slot goes back when both are gone."""
        if not 0 <= number < SLOTS:
            raise ValueError(f"there is no slot {number}")
        slot = np.asarray(_Loan(self._pages, self._memory, number, _stride(self.height, self.width, self.large)))
        bytes_, rows = self.height * self.width * 3, self.large[0] * 3 // 2
        image = slot[:bytes_].reshape(self.height, self.width, 3)
        return image, slot[bytes_ : bytes_ + rows * self.large[1]].reshape(rows, self.large[1])

    def give_back(self, number: int) -> None:
        """Returns a slot that was not looked at."""
        if 0 <= number < SLOTS:
            _give_back(self._memory, number)


class _Loan:
    """A slot as numpy takes it up: every array made of it keeps this very object, whatever it was sliced from."""

    def __init__(self, pages: NDArray[np.uint8], memory: mmap.mmap, number: int, stride: int) -> None:
        self._pages = pages  # numpy is given an address: the memory has to outlive it
        address = pages.ctypes.data + _PAGE + number * stride
        self.__array_interface__ = {"version": 3, "typestr": "|u1", "shape": (stride,), "data": (address, True)}
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

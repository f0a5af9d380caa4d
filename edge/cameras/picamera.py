"""The Raspberry Pi's own cameras, through picamera2. It is imported when such a camera is opened, so only on a Pi.

Configured once, with few buffers: each is a whole picture of memory that the kernel must find in one piece, and one
that is kept is one less for the camera. A picture is copied out of its buffer, and the buffer goes back at once. Models get
the small (lores) stream; snapshots the main one, where a size for them is configured, and it is copied only then.
"""

import contextlib
import time
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.cameras.camera import Camera, Opening
from edge.errors import CameraError
from edge.frame import Image

__all__ = ["open_picamera"]

_WIDTH, _HEIGHT = 640, 480
_BUFFERS = 3  # one being filled, one that waits, one being copied
_FORMAT = "YUV420"  # the only one that every Pi's small stream can have
_LATER_S = 0.3  # than the agent loses patience


def open_picamera(opening: Opening) -> Camera:
    """Camera `picamera`, or `picamera:1` for the second: pictures of `width` x `height` from its small stream.

    Raises:
        CameraError: when picamera2 is not installed, the camera is not there, or is taken.
    """
    try:
        from picamera2 import Picamera2
    except ImportError as e:
        raise CameraError(
            f"picamera2 cannot be imported ({e}): sudo apt-get install python3-picamera2, and make the virtual "
            "environment with --system-site-packages"
        ) from e
    return _Picamera(opening, Picamera2)


class _Picamera:
    def __init__(self, opening: Opening, make: Any) -> None:
        settings = opening.settings
        number = settings.source if isinstance(settings.source, int) else int(settings.source.partition(":")[2] or 0)
        self._what = f"picamera:{number}"
        self._patience_s = settings.read_timeout_s + _LATER_S
        self._size = (settings.width or _WIDTH, settings.height or _HEIGHT)
        large = settings.snapshot_width, settings.snapshot_height
        self._large = (large[0], large[1]) if large[0] and large[1] else None
        self._yuv: NDArray[np.uint8] | None = None
        self._large_yuv: NDArray[np.uint8] | None = None
        try:
            self._camera = make(number)
        except Exception as e:  # RuntimeError as documented, but also what libcamera throws
            raise CameraError(f"{self._what}: {e}") from e
        try:
            self._start(settings.fps)
        except Exception as e:
            self.close()
            raise CameraError(f"{self._what}: {e}") from e

    def grab(self) -> int | None:
        job = self._camera.capture_request(wait=False)
        try:
            request = self._camera.wait(job, timeout=self._patience_s)
        except (TimeoutError, FutureTimeoutError) as e:  # two classes before Python 3.11
            self._camera.cancel_all_and_flush()
            raise CameraError(f"{self._what}: gives no pictures; is its cable loose?") from e
        except Exception as e:
            raise CameraError(f"{self._what}: {e}") from e
        try:
            exposed_ns = request.get_metadata().get("SensorTimestamp")
            self._yuv = request.make_array("lores")
            if self._large is not None:
                self._large_yuv = request.make_array("main")
        except Exception as e:
            raise CameraError(f"{self._what}: {e}") from e
        finally:
            request.release()
        return self._opened_at(exposed_ns)

    def retrieve(self, into: Image | None = None) -> Image:
        yuv = self._yuv
        if yuv is None:
            raise CameraError(f"{self._what}: no picture was grabbed")
        width, height = self._size
        # Rows are padded to what the hardware likes; the chroma's lie two in one of these rows, each half padded.
        image = np.asarray(cv2.cvtColor(yuv, cv2.COLOR_YUV2BGR_I420), np.uint8)[:height, :width]
        if into is None or into.shape != image.shape:
            return np.ascontiguousarray(image)
        np.copyto(into, image)
        return into

    def large(self) -> NDArray[np.uint8] | None:
        yuv = self._large_yuv
        if yuv is None or self._large is None:
            return None
        width, height = self._large
        chroma = yuv[height:].reshape(2, height // 2, -1)[:, :, : width // 2]
        packed = np.concatenate([yuv[:height, :width].ravel(), chroma.ravel()])
        return np.asarray(packed.reshape(height * 3 // 2, width), np.uint8)

    def close(self) -> None:
        # Whatever libcamera throws on its way out: nothing is read of it any more, and opening it again will tell.
        with contextlib.suppress(Exception):
            self._camera.close()

    def _start(self, fps: float | None) -> None:
        camera = self._camera
        beat = {} if fps is None else {"FrameDurationLimits": (round(1e6 / fps), round(1e6 / fps))}
        configuration = camera.create_video_configuration(
            # There has to be a main stream, and the small one may not be larger; the raw one would cost memory.
            main={"size": self._size, "format": "RGB888"}
            if self._large is None
            else {"size": self._large, "format": _FORMAT},
            lores={"size": self._size, "format": _FORMAT},
            raw=None,
            colour_space=_bt601(),
            buffer_count=_BUFFERS,
            queue=False,  # what is asked for is what is exposed from now on
            display=None,
            encode=None,
            controls=beat,
        )
        camera.configure(configuration)
        given = camera.camera_configuration()
        self._size = given["lores"]["size"]
        if self._large is not None:
            self._large = given["main"]["size"]
        camera.start()

    def _opened_at(self, exposed_ns: int | None) -> int:
        """The exposure on our clock: libcamera counts from the boot, sleep included, we without."""
        now_ns = time.monotonic_ns()
        if not isinstance(exposed_ns, int) or not hasattr(time, "CLOCK_BOOTTIME"):
            return now_ns
        return exposed_ns - (time.clock_gettime_ns(time.CLOCK_BOOTTIME) - now_ns)


def _bt601() -> Any:
    """What OpenCV takes YUV for. Left to itself picamera2 asks for BT.709 when the main stream is large, for both."""
    from libcamera import ColorSpace

    return ColorSpace.Smpte170m()

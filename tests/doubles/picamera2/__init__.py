"""A double of picamera2, for machines that are no Raspberry Pi. Written from the source of picamera2 0.3.38:

what Picamera2 and CompletedRequest do with buffers, jobs, configurations and time stamps, and the errors they raise.
`test_picamera.py` compares its signatures with the real package's. The sensor shows a square that moves to the right.
"""

# ruff: noqa: ARG002, B006 - the signatures are the real package's

import os
import threading
import time
from concurrent.futures import CancelledError, Future

import numpy as np
from libcamera import ColorSpace

CAMERAS = int(os.environ.get("PICAMERA2_DOUBLE_CAMERAS", "1"))
_STRIDE = 64
_taken = set()


class CompletedRequest:
    """A picture that is lent: its buffer goes back to the camera when every reference is released."""

    def __init__(self, request, picam2):
        self.request = request
        self.ref_count = 1
        self.lock = picam2.request_lock
        self.picam2 = picam2
        self.stop_count = picam2.stop_count
        self.config = picam2.camera_config.copy()

    def acquire(self):
        with self.lock:
            if self.ref_count == 0:
                raise RuntimeError("CompletedRequest: acquiring lock with ref_count 0")
            self.ref_count += 1

    def release(self):
        with self.lock:
            self.ref_count -= 1
            if self.ref_count < 0:
                raise RuntimeError("CompletedRequest: lock now has negative ref_count")
            if self.ref_count == 0:
                if self.stop_count == self.picam2.stop_count and self.picam2.started:
                    self.picam2.free.append(self.request["buffer"])
                self.request = None
                self.config = {}

    def get_metadata(self):
        assert self.request is not None
        return {"SensorTimestamp": self.request["taken_ns"], "ExposureTime": 10_000}

    def make_array(self, name):
        if self.config.get(name) is None:
            raise RuntimeError(f"Stream {name!r} is not defined")
        return self.request["buffer"][name].copy()


class Job:
    def __init__(self):
        self.future = Future()

    def get_result(self, timeout=None):
        return self.future.result(timeout=timeout)


class Picamera2:
    def __init__(self, camera_num=0, verbose_console=None, tuning=None, allocator=None):
        if camera_num >= CAMERAS:
            raise RuntimeError(
                f'No camera number {camera_num} found - use "rpicam-hello --list-cameras" to check connected cameras'
            )
        if camera_num in _taken:
            raise RuntimeError("Camera __init__ sequence did not complete.")
        _taken.add(camera_num)
        self.camera_num = camera_num
        self.camera_config = {}
        self.request_lock = threading.Lock()
        self.lock = threading.Lock()
        self.stop_count = 0
        self.started = False
        self.is_open = True
        self.starved = 0
        self.frozen = False
        self._jobs = []
        self._completed = []

    def create_video_configuration(
        self,
        main={},
        lores=None,
        raw={},
        transform=None,
        colour_space=None,
        buffer_count=6,
        controls={},
        display="main",
        encode="main",
        queue=True,
        sensor={},
        use_case="video",
    ):
        main = _stream({"format": "XBGR8888", "size": (1280, 720), "preserve_ar": True}, main)
        lores = _stream({"format": "YUV420", "size": main["size"], "preserve_ar": False}, lores)
        if colour_space is None:
            small = main["size"][0] < 1280 or main["size"][1] < 720
            colour_space = ColorSpace.Smpte170m() if small else ColorSpace.Rec709()
        config = {"main": main, "lores": lores, "raw": raw, "buffer_count": buffer_count, "queue": queue}
        config["colour_space"] = colour_space
        for kind, name in (("Display", display), ("Encode", encode)):
            if name is not None and config.get(name) is None:
                raise RuntimeError(f"{kind} stream {name} was not defined")
        return {**config, "controls": controls, "display": display, "encode": encode, "use_case": use_case}

    def configure(self, camera_config=None):
        if self.started:
            raise RuntimeError("Camera must be stopped before configuring")
        main, lores = camera_config["main"], camera_config["lores"]
        if not isinstance(camera_config["colour_space"], ColorSpace):
            raise RuntimeError("Colour space has incorrect type")  # noqa: TRY004 - as the real one does
        for name, stream in (("main", main), ("lores", lores)):
            if stream is None:
                continue
            if type(stream["size"]) is not tuple or len(stream["size"]) != 2:
                raise RuntimeError(name + " stream should be (width, height)")
            if stream["size"][0] % 2 or stream["size"][1] % 2:
                raise RuntimeError("width and height should be even")
        if lores is not None and (lores["size"][0] > main["size"][0] or lores["size"][1] > main["size"][1]):
            raise RuntimeError("lores stream dimensions may not exceed main stream")
        self.camera_config = camera_config

    def camera_configuration(self):
        return self.camera_config

    def start(self, config=None, show_preview=False):
        if not self.camera_config:
            raise RuntimeError("Camera has not been configured")
        if self.started:
            return
        self.started = True
        yuv = [name for name in ("main", "lores") if self.camera_config[name]["format"] == "YUV420"]
        self.free = [
            {name: _buffer(self.camera_config[name]["size"]) for name in yuv}
            for _ in range(self.camera_config["buffer_count"])
        ]
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self):
        if self.started:
            self.stop_count += 1
            self.started = False
            self._stopping.set()
            self._thread.join()
            for request in self._completed:
                request.release()
            self._completed = []

    def close(self):
        if not self.is_open:
            return
        self.stop()
        self.is_open = False
        _taken.discard(self.camera_num)

    def capture_request(self, wait=None, signal_function=None, flush=None):
        job = Job()
        with self.lock:
            self._jobs.append(job)
            self._serve()
        if wait is None:
            wait = signal_function is None
        return job.get_result(timeout=None if wait is True else wait) if wait else job

    def wait(self, job, timeout=None):
        return job.get_result(timeout=timeout)

    def cancel_all_and_flush(self):
        with self.lock:
            for job in self._jobs:
                job.future.set_exception(CancelledError())
            self._jobs = []

    def _serve(self):
        while self._jobs and self._completed:
            self._jobs.pop(0).future.set_result(self._completed.pop(0))

    def _run(self):
        number = 0
        beat_s = self.camera_config["controls"].get("FrameDurationLimits", (33333, 33333))[0] / 1e6
        while not self._stopping.wait(beat_s):
            if self.frozen:
                continue
            if not self.free:
                self.starved += 1  # every buffer is with the application: the sensor's picture goes nowhere
                continue
            number += 1
            buffer = self.free.pop()
            for name, array in buffer.items():
                _draw(array, self.camera_config[name]["size"], number)
            taken_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
            request = CompletedRequest({"buffer": buffer, "taken_ns": taken_ns}, self)
            with self.lock:
                self._completed.append(request)
                self._serve()
                while len(self._completed) > (1 if self.camera_config["queue"] else 0):
                    self._completed.pop(0).release()


def _stream(config, updates):
    if updates is None:
        return None
    for key, value in updates.items():
        if key not in {"format", "size", "stride", "preserve_ar"}:
            raise ValueError(f"Bad key {key!r}: valid stream configuration keys are format, size, stride, preserve_ar")
        config[key] = value
    return config


def _buffer(size):
    width, height = size
    return np.zeros((height * 3 // 2, -(-width // _STRIDE) * _STRIDE), np.uint8)


def _draw(yuv, size, number):
    """A grey scene with a bright red square at x = 2 * number; the padding is filled with what must not be seen."""
    width, height = size
    stride = yuv.shape[1]
    yuv[:height] = 235
    yuv[:height, :width] = 100
    chroma = yuv[height:].reshape(2, height // 2, stride // 2)
    chroma[:] = 128
    x = 2 * (number % (width // 4))
    yuv[10:42, x : x + 32] = 76
    chroma[0, 5:21, x // 2 : x // 2 + 16] = 90
    chroma[1, 5:21, x // 2 : x // 2 + 16] = 240

"""What of libcamera's Python module picamera2's callers name: the colour spaces (libcamera 0.5, py/libcamera)."""


# ruff: noqa: N802 - the names are the real module's


class ColorSpace:
    def __init__(self, name):
        self.name = name

    @staticmethod
    def Smpte170m():
        return ColorSpace("Smpte170m")

    @staticmethod
    def Rec709():
        return ColorSpace("Rec709")

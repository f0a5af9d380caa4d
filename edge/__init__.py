"""The agent on the camera node: camera -> frame -> tensor -> inference -> results -> events -> transport."""

__all__ = ["__version__"]

__version__ = "0.1.0"

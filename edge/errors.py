"""Errors say what to do: temporary (retry) or permanent (stop). Each is a standard exception type as well."""

__all__ = [
    "BundleError",
    "BundleRefusedError",
    "CameraError",
    "ConfigError",
    "EdgeError",
    "ImageError",
    "PermanentError",
    "ServiceError",
    "SessionError",
    "TemporaryError",
    "TransportError",
    "TransportRefusedError",
]


class EdgeError(Exception):
    """Any error whose message is meant for the person at the keyboard: one line, names the thing, says what to do."""


class TemporaryError(EdgeError):
    """Worth another try after a while."""


class PermanentError(EdgeError):
    """Will fail the same way until somebody changes something."""


class BundleError(PermanentError, ValueError):
    """A bundle that is missing, damaged, foreign or not what its manifest says."""


class BundleRefusedError(BundleError):
    """A bundle that is whole, as far as was looked, and yet not for this device.

    Attributes:
        reason: `unsigned`, `unknown_key`, `bad_signature`, `wrong_target` or `downgrade`.
    """

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class ConfigError(PermanentError, ValueError):
    """A configuration that cannot be used; names the key."""


class ImageError(PermanentError, ValueError):
    """A file that is not an image this machine can read."""


class ServiceError(PermanentError, RuntimeError):
    """The system's service manager cannot do what was asked."""


class SessionError(PermanentError, RuntimeError):
    """The runtime cannot load or run the model here."""


class CameraError(TemporaryError, OSError):
    """A camera that is away, silent, or sends what is not a frame."""


class TransportError(TemporaryError, ConnectionError):
    """A broker that cannot be reached now."""


class TransportRefusedError(PermanentError, ConnectionRefusedError):
    """A broker that answered no: credentials, client id or policy."""

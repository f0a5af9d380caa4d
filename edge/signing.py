"""Ed25519 over the exact bytes of a command: who may tell a node what to do, proven on the node.

Needs `pip install 'gluon-edge[signing]'`. A public key is 32 bytes in base64, a line in a file; several may be pinned.
"""

import base64
import binascii
import hashlib
from pathlib import Path
from typing import Any

from edge.errors import ConfigError

__all__ = ["Keys", "key_id", "make_key", "sign"]

# What is signed starts with this, so that no signature for something else can be taken for one of a command.
_DOMAIN = b"gluon-edge command 1\n"


def key_id(public: bytes) -> str:
    """The short name of a public key: 16 hex digits of its SHA-256."""
    return hashlib.sha256(public).hexdigest()[:16]


def make_key() -> tuple[str, str]:
    """A new private and public key, each a line of base64."""
    private = _library().Ed25519PrivateKey.generate()
    return _text(private.private_bytes_raw()), _text(private.public_key().public_bytes_raw())


def sign(body: bytes, private: str) -> dict[str, str]:
    """The envelope around a command's JSON: `{"body", "key", "signature"}`."""
    key = _library().Ed25519PrivateKey.from_private_bytes(base64.b64decode(private))
    return {
        "body": body.decode(),
        "key": key_id(key.public_key().public_bytes_raw()),
        "signature": _text(key.sign(_DOMAIN + body)),
    }


class Keys:
    """The public keys that are pinned.

    Raises:
        ConfigError: when a file does not hold one, or the library is missing.
    """

    def __init__(self, files: tuple[Path, ...] = ()) -> None:
        self._keys: dict[str, Any] = dict(_read_public(file) for file in files)

    def __bool__(self) -> bool:
        return bool(self._keys)

    def verify(self, body: str, key: str, signature: str) -> bool:
        """Whether a pinned key has signed these very bytes."""
        from cryptography.exceptions import InvalidSignature

        pinned = self._keys.get(key)
        if pinned is None:
            return False
        try:
            pinned.verify(base64.b64decode(signature, validate=True), _DOMAIN + body.encode())
        except (InvalidSignature, ValueError, binascii.Error):
            return False
        return True


def _read_public(file: Path) -> tuple[str, Any]:
    try:
        public = base64.b64decode(file.read_text().strip(), validate=True)
        return key_id(public), _library().Ed25519PublicKey.from_public_bytes(public)
    except ConfigError:
        raise
    except OSError as e:
        raise ConfigError(f"{file}: {e.strerror}") from e
    except (ValueError, binascii.Error) as e:
        raise ConfigError(f"{file}: is not an Ed25519 public key of 32 bytes in base64") from e


def _library() -> Any:
    try:
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError as e:
        raise ConfigError("signed commands need: pip install 'gluon-edge[signing]'") from e
    return ed25519


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()

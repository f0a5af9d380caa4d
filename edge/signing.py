"""Ed25519 over the exact bytes of a command or of a bundle's manifest: who may tell a node what to do, proven there.

Needs `pip install 'gluon-edge[signing]'`. A public key is 32 bytes in base64, a line in a file; several may be pinned,
so that a new key can be trusted before the old one goes (rotation).
"""

import base64
import binascii
import hashlib
from pathlib import Path
from typing import Any

from edge.errors import ConfigError

__all__ = ["BUNDLE", "COMMAND", "PRIVATE", "PUBLIC", "Keys", "key_id", "key_id_of", "make_key", "sign", "signature"]

COMMAND = b"gluon-edge command 1\n"
BUNDLE = b"gluon-edge bundle 1\n"
"""What is signed starts with its domain, so that no signature for one thing can be taken for one of another."""

PRIVATE, PUBLIC = ".key", ".pub"
"""How `gluon-export keygen` ends the names of its files: what is in them looks alike, 32 bytes in base64."""

_MAX_KEY_BYTES = 4096


def key_id(public: bytes) -> str:
    """The short name of a public key: 16 hex digits of its SHA-256."""
    return hashlib.sha256(public).hexdigest()[:16]


def key_id_of(public: str) -> str:
    """The short name of a public key as its file holds it."""
    return key_id(base64.b64decode(public))


def make_key() -> tuple[str, str]:
    """A new private and public key, each a line of base64."""
    private = _library().Ed25519PrivateKey.generate()
    return _text(private.private_bytes_raw()), _text(private.public_key().public_bytes_raw())


def signature(message: bytes, private: str, domain: bytes) -> tuple[str, str]:
    """The id of the key that signs, and its signature of `domain` and `message` in base64.

    Raises:
        ConfigError: when `private` is no key; the message does not repeat it.
    """
    try:
        key = _library().Ed25519PrivateKey.from_private_bytes(base64.b64decode(private.strip(), validate=True))
    except (ValueError, binascii.Error):
        raise ConfigError(
            "is not an Ed25519 private key of 32 bytes in base64; make one: gluon-export keygen"
        ) from None
    return key_id(key.public_key().public_bytes_raw()), _text(key.sign(domain + message))


def sign(body: bytes, private: str) -> dict[str, str]:
    """The envelope around a command's JSON: `{"body", "key", "signature"}`."""
    key, signed = signature(body, private, COMMAND)
    return {"body": body.decode(), "key": key, "signature": signed}


class Keys:
    """The public keys that are pinned.

    Raises:
        ConfigError: when a file does not hold one, or the library is missing.
    """

    def __init__(self, files: tuple[Path, ...] = ()) -> None:
        self._keys: dict[str, Any] = dict(_read_public(file) for file in files)

    def __bool__(self) -> bool:
        return bool(self._keys)

    @property
    def ids(self) -> tuple[str, ...]:
        """The pinned keys' short names."""
        return tuple(self._keys)

    def verify(self, body: str | bytes, key: str, signature: str, *, domain: bytes = COMMAND) -> bool:
        """Whether a pinned key has signed these very bytes for this domain."""
        pinned = self._keys.get(key)
        if pinned is None:
            return False
        from cryptography.exceptions import InvalidSignature

        message = body.encode() if isinstance(body, str) else body
        try:
            raw = base64.b64decode(signature, validate=True)
            pinned.verify(raw, domain + message)
        except (InvalidSignature, ValueError, binascii.Error):
            return False
        # base64's last digit holds bits that mean nothing; with them one signature could be written in 16 ways.
        return _text(raw) == signature


def _read_public(file: Path) -> tuple[str, Any]:
    if file.suffix == PRIVATE:
        raise ConfigError(
            f"{file}: is named like a private key, which does not belong here; give the {PUBLIC} that keygen wrote beside it"
        )
    try:
        with file.open("rb") as f:
            public = base64.b64decode(f.read(_MAX_KEY_BYTES).strip(), validate=True)
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
        raise ConfigError("signatures need: pip install 'gluon-edge[signing]'") from e
    return ed25519


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()

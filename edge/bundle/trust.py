"""Whom a device believes: bundles signed by a pinned key, meant for it, and no older than it had before.

The file `signature` in a bundle has a line a signature, `KEY BASE64`: the id of the key and its Ed25519 signature of
`gluon-edge bundle 1`, a newline, and the exact bytes of `manifest.json`, which holds the digest of every other file.
One good signature by a pinned key is enough, so a bundle may be signed with the old key and the new one at once.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from edge.bundle.manifest import SIGNATURE, Manifest, machine
from edge.errors import BundleRefusedError
from edge.signing import BUNDLE, Keys

__all__ = ["MAX_SIGNATURE_BYTES", "Trust"]

MAX_SIGNATURE_BYTES = 4096
_LINE = re.compile(rb"([0-9a-f]{16}) ([A-Za-z0-9+/]{86}==)")


@dataclass(frozen=True, slots=True)
class Trust:
    """What a bundle must prove. With no keys it need not be signed; a `node` or `machine` of None is not judged."""

    keys: Keys = field(default_factory=Keys)
    node: str | None = None
    machine: str | None = None

    @classmethod
    def here(cls, keys: Keys, *, node: str) -> "Trust":
        """What a bundle must prove to run on this machine as this node."""
        return cls(keys, node, machine())

    def signer(self, path: Path, manifest: bytes, signature: bytes | None) -> str | None:
        """The pinned key that signed these bytes of a manifest, before anything of them is parsed; None without keys.

        Raises:
            BundleRefusedError: `unsigned`, `unknown_key` or `bad_signature`.
        """
        if not self.keys:
            return None
        pinned = ", ".join(self.keys.ids)
        if signature is None:
            text = f"{path}: is not signed, and this device takes only what one of its keys has signed ({pinned})"
            raise BundleRefusedError(text, reason="unsigned")
        claims = list(_claims(path, signature))
        for key, signed in claims:
            if self.keys.verify(manifest, key, signed, domain=BUNDLE):
                return key
        if not {key for key, _ in claims} & set(self.keys.ids):
            text = f"{path}: is signed by {', '.join(k for k, _ in claims)}, and the keys of this device are {pinned}"
            raise BundleRefusedError(text, reason="unknown_key")
        text = f"{path}: its signature is not one of its manifest; it is damaged or was tampered with"
        raise BundleRefusedError(text, reason="bad_signature")

    def refuse_what_is_not_meant_for_us(self, path: Path, manifest: Manifest) -> None:
        """Judges the manifest's target.

        Raises:
            BundleRefusedError: `wrong_target`.
        """
        why = manifest.target.excludes(machine=self.machine, node=self.node)
        if why is not None:
            raise BundleRefusedError(f"{path}: {manifest.name} {manifest.version}: {why}", reason="wrong_target")


def _claims(path: Path, signature: bytes) -> Iterator[tuple[str, str]]:
    lines = signature.splitlines() if len(signature) <= MAX_SIGNATURE_BYTES else []
    if not lines:
        text = f"{path}: {SIGNATURE} is empty, or larger than {MAX_SIGNATURE_BYTES} bytes"
        raise BundleRefusedError(text, reason="bad_signature")
    for line in lines:
        parts = _LINE.fullmatch(line)
        if parts is None:
            raise BundleRefusedError(f"{path}: {SIGNATURE} holds what is no signature", reason="bad_signature")
        yield parts[1].decode(), parts[2].decode()

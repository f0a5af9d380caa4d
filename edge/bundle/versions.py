"""The highest version of each model that a node has taken, kept apart from the bundle that is active.

Going back to the bundle before, which a failed update does by itself, is the node's own decision and does not lower the
mark; what comes from outside must not be older than the mark, or an old bundle with a known fault, rightly signed in its
day, could be played to the node again.
"""

import json
import re
from pathlib import Path

from edge.bundle.manifest import Manifest
from edge.durable import replace_file
from edge.errors import BundleRefusedError, ConfigError

__all__ = ["Versions"]

_MAX_BYTES = 1 << 20
_VERSION = re.compile(r"[0-9]{1,6}\.[0-9]{1,6}\.[0-9]{1,6}")


class Versions:
    """A JSON file of a node's state folder: name of a model -> the highest version taken. One process writes it."""

    def __init__(self, folder: Path, node: str) -> None:
        self._path = folder / f"{node}.versions.json"

    def highest(self, name: str) -> str | None:
        """The highest version of the model `name` that was taken.

        Raises:
            ConfigError: when the file cannot be read or is damaged: forgetting would let old bundles in again.
        """
        return self._read().get(name)

    def refuse_older(self, path: Path, manifest: Manifest, running: Manifest | None = None) -> None:
        """Refuses a bundle that is older than one that was taken, or than the one that runs; the same version may come again.

        A configured bundle runs without having been taken, and is no reason to let older ones in.

        Raises:
            BundleRefusedError: `downgrade`.
            ConfigError: see `highest`.
        """
        known = self.highest(manifest.name)
        if running is not None and running.name == manifest.name:
            known = running.version if known is None else max(known, running.version, key=_release)
        if known is not None and manifest.release < _release(known):
            text = f"{path}: {manifest.name} {manifest.version} is older than {known}, which this node has had"
            raise BundleRefusedError(text, reason="downgrade")

    def remember(self, manifest: Manifest) -> None:
        """Raises the mark of a model to the version of a bundle that was taken; it never sinks.

        Raises:
            ConfigError: see `highest`; or when the folder cannot be written.
        """
        versions = self._read()
        known = versions.get(manifest.name)
        if known is not None and manifest.release <= _release(known):
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(self._path, json.dumps({**versions, manifest.name: manifest.version}, sort_keys=True))
        except OSError as e:
            raise ConfigError(f"{self._path}: {e.strerror}; versions must be remembered to refuse old ones") from e

    def _read(self) -> dict[str, str]:
        try:
            with self._path.open("rb") as f:
                versions = json.loads(f.read(_MAX_BYTES))
        except FileNotFoundError:
            return {}
        except OSError as e:
            raise ConfigError(f"{self._path}: {e.strerror}") from e
        except ValueError:
            versions = None
        if not isinstance(versions, dict) or not all(
            isinstance(v, str) and _VERSION.fullmatch(v) for v in versions.values()
        ):
            raise ConfigError(
                f"{self._path}: is damaged, so old bundles cannot be told from new ones; remove it to take any version"
            )
        return versions


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))

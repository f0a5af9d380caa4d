"""What the configuration asks of bundles, put together: pinned keys, this node's name, the versions that it has had."""

from edge.bundle.bundle import Bundle, read_bundle
from edge.bundle.trust import Trust
from edge.bundle.versions import Versions
from edge.config import Config, ModelConfig
from edge.errors import BundleError
from edge.signing import Keys

__all__ = ["admitted", "admitted_own", "trust_of", "versions_of"]


def trust_of(config: Config) -> Trust:
    """What a bundle must prove to run on this node.

    Raises:
        ConfigError: when a key of `model.keys` cannot be used.
    """
    return Trust.here(Keys(config.model.keys), node=config.mqtt.node)


def versions_of(config: Config) -> Versions:
    """The highest versions that this node has taken."""
    return Versions(config.state_folder, config.mqtt.node)


def admitted(config: Config) -> Bundle:
    """The bundle of `model.bundle`, believed as the configuration asks.

    Its version may be lower than the highest that was taken: going back is the node's own decision.

    Raises:
        EdgeError: when it is not a bundle, not signed as asked, or not meant for this node.
    """
    return read_bundle(config.model.bundle, trust_of(config))


def admitted_own(config: Config, camera: str, model: ModelConfig) -> Bundle:
    """The bundle that a camera has to itself; without keys of its own those of `model.keys` count.

    Raises:
        EdgeError: as `admitted`, and which camera's it is.
    """
    try:
        return read_bundle(model.bundle, Trust.here(Keys(model.keys or config.model.keys), node=config.mqtt.node))
    except BundleError as e:
        raise BundleError(f"cameras.{camera}.model: {e}") from e

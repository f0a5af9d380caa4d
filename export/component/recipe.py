"""The recipes of two components: the agent, and the model that it runs. One text for aarch64, amd64, classic and lite.

Every choice in them that is not plain is told in docs/decisions/, and every limit is checked by export.component.lint.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from export.component.access import Destination, access_control

__all__ = ["AgentComponent", "Artifact", "ModelComponent", "agent_recipe", "as_yaml", "model_recipe"]

_INSTALL = """\
set -eu
a="{{artifacts:decompressedPath}}/{folder}"
v="{{work:path}}/venv"
python3 "$a/check.py"
if ! cmp -s "$a/digest" "$v/digest"; then
  rm -rf "$v"
  python3 -m venv "$v"
  "$v/bin/python" -m pip install -q --no-index --no-cache-dir --no-compile --disable-pip-version-check -f "$a/wheels" -r "$a/requirements.txt"
  cp "$a/digest" "$v/digest"
fi
"""
_STARTUP = """\
unset NOTIFY_SOCKET WATCHDOG_USEC
cd "{work:path}"
exec "{work:path}/venv/bin/gluon-edge" run
"""
_LINK = """\
set -eu
ln -sfn "{{artifacts:path}}/{file}" "{{work:path}}/bundle.zip"
"""


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file of a component, where it will lie, and whether the nucleus unpacks it."""

    path: Path
    uri: str
    unpack: bool

    def described(self) -> dict[str, Any]:
        """The recipe's entry; `Digest` is what the nucleus checks, base64 of the SHA-256, once there is a file."""
        entry = {"Uri": self.uri, "Unarchive": "ZIP" if self.unpack else "NONE"}
        if not self.path.exists():
            return entry
        digest = base64.b64encode(hashlib.sha256(self.path.read_bytes()).digest()).decode()
        return {**entry, "Digest": digest, "Algorithm": "SHA-256"}


@dataclass(frozen=True, slots=True)
class ModelComponent:
    """A component whose only content is a bundle."""

    name: str
    version: str
    publisher: str
    description: str
    bundle: Artifact


@dataclass(frozen=True, slots=True)
class AgentComponent:
    """The agent, an artifact an architecture, and the component that it gets its model from.

    `configuration` is DefaultConfiguration without accessControl, in the words of docs/configuration.md.
    """

    name: str
    version: str
    publisher: str
    artifacts: Mapping[str, Artifact]
    model: str
    model_version: str
    configuration: Mapping[str, Any] = field(default_factory=dict)
    root: str = "edge"
    destination: Destination = "iot-core"
    aws_ml_topic: str | None = None


def agent_recipe(component: AgentComponent) -> dict[str, Any]:
    """The agent's recipe."""
    access = access_control(
        component.name, root=component.root, destination=component.destination, aws_ml_topic=component.aws_ml_topic
    )
    defaults = {"model": {"bundle": f"../{component.model}/bundle.zip"}, **component.configuration}
    manifests = [
        {
            "Platform": {"os": "linux", "architecture": architecture, "runtime": "*"},
            "Artifacts": [artifact.described()],
            "Lifecycle": {
                "install": {"Script": _INSTALL.format(folder=artifact.path.stem), "Timeout": 600},
                "startup": {"Script": _STARTUP, "Timeout": 300},
            },
        }
        for architecture, artifact in component.artifacts.items()
    ]
    head = _head(component.name, component.version, component.publisher, "Detections of a camera, as events")
    return {
        **head,
        "ComponentDependencies": {
            component.model: {"VersionRequirement": f">={component.model_version}", "DependencyType": "HARD"}
        },
        "ComponentConfiguration": {"DefaultConfiguration": {**defaults, "accessControl": access}},
        "Manifests": manifests,
    }


def model_recipe(component: ModelComponent) -> dict[str, Any]:
    """A model's recipe: it puts a link where the agent's configuration looks, and runs nothing."""
    script = _LINK.format(file=component.bundle.path.name)
    return {
        **_head(component.name, component.version, component.publisher, component.description),
        "Manifests": [
            {
                "Platform": {"os": "linux", "runtime": "*"},
                "Artifacts": [component.bundle.described()],
                "Lifecycle": {"install": {"Script": script}},
            }
        ],
    }


def _head(name: str, version: str, publisher: str, description: str) -> dict[str, Any]:
    return {
        "RecipeFormatVersion": "2020-01-25",
        "ComponentName": name,
        "ComponentVersion": version,
        "ComponentType": "aws.greengrass.generic",
        "ComponentDescription": description,
        "ComponentPublisher": publisher,
    }


class _Dumper(yaml.SafeDumper):  # type: ignore[misc]  # the library has no types
    """Scripts as blocks, and no anchors: the lite nucleus's parser knows neither."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the library's signature
        return True


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def as_yaml(recipe: Mapping[str, Any], *, comments: Sequence[str] = ()) -> str:
    """A recipe as a person reads it, in the order in which it was made."""
    lead = "".join(f"# {line}\n" for line in comments)
    return lead + str(yaml.dump(dict(recipe), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=4096))

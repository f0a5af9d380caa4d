"""A node as Home Assistant sees it: one device with its sensors, switches and pictures, told in one retained message.

Device-based discovery (home-assistant.io/integrations/mqtt, "Device discovery payload", since release 2024.11): topic
`<prefix>/device/<object_id>/config`; required are `device` with an identifier, `origin` with a name, and `components`,
each with its `platform` and, being an entity, a `unique_id`. Availability may stand once for all. `~` for the base
topic is for single components only: at the top of a device's document Home Assistant's own code refuses it. An empty retained payload removes everything. It is sent again when `<prefix>/status` says `online`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edge.reporting.snapshots import ON_COMMAND

__all__ = ["Seen", "discovery", "discovery_topic", "status_topic"]

_MAX_LABELS = 40
_MAX_ENTITIES = 140


@dataclass(frozen=True, slots=True)
class Seen:
    """One camera as Home Assistant shows it; labels by the last level of their topics, to the name people read."""

    labels: Mapping[str, str]
    counts: bool = True
    zones: Sequence[str] = ()
    switches: Sequence[str] = ()
    snapshots: bool = False


def discovery_topic(prefix: str, node: str) -> str:
    """Where the document goes, retained."""
    return f"{prefix}/device/{node}/config"


def status_topic(prefix: str) -> str:
    """Where Home Assistant says `online` when it has started."""
    return f"{prefix}/status"


def discovery(
    *, root: str, node: str, version: str, model: Mapping[str, Any], hardware: str | None, cameras: Mapping[str, Seen]
) -> dict[str, Any]:
    """The document. Of a camera with many labels the first 40 are shown, or fewer: it has to fit into one message."""
    most = min(_MAX_LABELS, _MAX_ENTITIES // max(1, sum(1 + len(seen.zones) for seen in cameras.values())))
    base = f"{root}/{node}"
    components: dict[str, dict[str, Any]] = {}

    def add(platform: str, key: str, name: str, **more: Any) -> None:
        components[key] = {"platform": platform, "unique_id": f"gluon-edge_{node}_{key}", "name": name, **more}

    for camera, seen in cameras.items():
        add(
            "binary_sensor",
            f"{camera}_online",
            f"{camera} camera",
            state_topic=f"{base}/{camera}/state",
            value_template="{{ 'ON' if value_json.state == 'online' else 'OFF' }}",
            device_class="connectivity",
            entity_category="diagnostic",
        )
        labels = dict(list(seen.labels.items())[:most])
        for place, where in (("", ""), *((f"zone/{zone}/", f" {zone}") for zone in seen.zones)):
            for topic, label in labels.items():
                key = f"{camera}_{place.replace('/', '_')}{topic}"
                if not seen.counts:
                    continue
                count = f"{base}/{camera}/{place}count/{topic}"
                add(
                    "sensor",
                    f"{key}_count",
                    f"{camera}{where} {label} count",
                    state_topic=count,
                    state_class="measurement",
                )
                add(
                    "binary_sensor",
                    key,
                    f"{camera}{where} {label}",
                    state_topic=count,
                    value_template="{{ 'ON' if value | int(0) > 0 else 'OFF' }}",
                    device_class="occupancy",
                )
        for switch in seen.switches:
            add(
                "switch",
                f"{camera}_{switch}_switch",
                f"{camera} {switch}",
                command_topic=f"{base}/{camera}/{switch}/set",
                state_topic=f"{base}/{camera}/{switch}/state",
                qos=1,
            )
        if seen.snapshots:
            add(
                "camera",
                f"{camera}_snapshot",
                f"{camera} snapshot",
                topic=f"{base}/{camera}/snapshot/{ON_COMMAND}",
            )
            for topic, label in labels.items():
                add(
                    "image",
                    f"{camera}_{topic}_image",
                    f"{camera} last {label}",
                    image_topic=f"{base}/{camera}/snapshot/{topic}",
                    content_type="image/jpeg",
                )
    add(
        "sensor",
        "fps",
        "Frames per second",
        state_topic=f"{base}/health",
        value_template="{{ value_json.fps }}",
        state_class="measurement",
        entity_category="diagnostic",
    )
    add(
        "update",
        "model",
        "Model",
        title=str(model.get("name", "model")),
        state_topic=f"{base}/update",
        # Its schema takes these keys and no others.
        value_template=(
            "{{ {'title': value_json.title, 'installed_version': value_json.installed_version, "
            "'latest_version': value_json.latest_version, 'in_progress': value_json.in_progress, "
            "'update_percentage': value_json.update_percentage} | tojson }}"
        ),
        entity_category="diagnostic",
    )
    return {
        "device": {
            "identifiers": [f"gluon-edge_{node}"],
            "name": node,
            "manufacturer": "gluon-edge",
            "model": hardware or "camera node",
            "sw_version": version,
        },
        "origin": {"name": "gluon-edge", "sw_version": version},
        "components": components,
        "availability_topic": f"{base}/status",
        "availability_template": "{{ 'online' if value == 'online' else 'offline' }}",
    }

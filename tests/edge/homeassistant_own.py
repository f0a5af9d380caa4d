"""Reads a discovery document with Home Assistant's own MQTT code; run by a Python that has `homeassistant` installed.

Prints which release it was, and how many entities its own parser and platform schemas accepted.
"""

import asyncio
import importlib
import json
import logging
import sys
from pathlib import Path


async def main(folder: str, document: str) -> dict:
    from homeassistant.components.mqtt import discovery
    from homeassistant.const import __version__
    from homeassistant.core import HomeAssistant

    warnings: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: warnings.append(record.getMessage())
    logging.getLogger("homeassistant").addHandler(handler)

    hass = HomeAssistant(folder)
    payload = discovery._parse_device_payload(hass, document, "n1", None)
    assert payload, f"refused: {warnings}"
    accepted = []
    for key, component in payload["components"].items():
        config = discovery.MQTTDiscoveryPayload(dict(component))
        platform = config.pop("platform")
        discovery._replace_all_abbreviations(config)
        discovery._merge_common_device_options(config, payload)
        # As its discovery does: what all components share is put into each.
        config["device"], config["origin"] = payload["device"], payload["origin"]
        schema = importlib.import_module(f"homeassistant.components.mqtt.{platform}").DISCOVERY_SCHEMA
        read = schema({**config, "platform": "mqtt"})
        unknown = config.keys() - read.keys()
        assert not unknown, f"{key}: Home Assistant knows no {unknown}"
        accepted.append(key)
    await hass.async_stop(force=True)
    return {"homeassistant": __version__, "accepted": len(accepted), "warnings": warnings}


if __name__ == "__main__":
    file = Path(sys.argv[1])
    sys.stdout.write(json.dumps(asyncio.run(main(str(file.parent), file.read_text()))) + "\n")

"""Whether a recipe's accessControl lets a component do something, by the rules of either nucleus."""

import re
from typing import Any

from greengrass_double.limits import Nucleus


def topic_matches(pattern: str, topic: str) -> bool:
    """MQTT's wildcards."""
    wanted, got = pattern.split("/"), topic.split("/")
    for i, level in enumerate(wanted):
        if level == "#":
            return True
        if i >= len(got) or level not in {"+", got[i]}:
            return False
    return len(wanted) == len(got)


def allowed(access: dict[str, Any], service: str, operation: str, resource: str, *, thing: str, kind: Nucleus) -> bool:
    """Whether any policy of the service names the operation and a resource that holds this one."""
    mqtt = service.endswith("mqttproxy") or kind.mqtt_wildcards_everywhere
    for policy in access.get(service, {}).values():
        if {operation, "*"} & set(policy["operations"]):
            for pattern in policy["resources"]:
                known = pattern.replace("{iot:thingName}", thing)
                if known == resource or (mqtt and topic_matches(known, resource)):
                    return True
                if re.fullmatch(".*".join(map(re.escape, known.split("*"))), resource):
                    return True
    return False

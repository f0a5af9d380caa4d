"""`gluon-edge watch`: a subscriber for people."""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from edge.verbs.verb import add_command, add_config, add_json, number

if TYPE_CHECKING:
    from edge.config import MqttConfig
    from edge.verbs.verb import Commands

__all__ = ["add"]


def add(commands: "Commands") -> None:
    """The words of the verb."""
    sub = add_command(commands, "watch", watch, "Show events as they come.", "--broker mqtt://localhost:1883")
    sub.add_argument("--broker", metavar="URL", help="default: mqtt://localhost:1883")
    sub.add_argument("--topic", metavar="FILTER", help="default: edge/#")
    sub.add_argument("--count", type=number(int, 1), metavar="N", help="stop after N events")
    sub.add_argument("--seconds", type=number(float, 0.0), metavar="S", help="stop after S seconds")
    sub.add_argument("--username", metavar="NAME")
    sub.add_argument("--password-file", type=Path, metavar="FILE", help="a file that only you may read")
    add_config(sub, required=False)
    add_json(sub, "a JSON object a message, a line each, and the sums at the end")


def watch(args: argparse.Namespace) -> int:
    """A subscriber for people."""
    from edge.delivery.broker import mqtt_settings
    from edge.subscriber.watch import listen

    mqtt = _broker(args)
    settings = mqtt_settings(mqtt, client_id=f"gluon-edge-watch-{os.getpid()}")
    topic = args.topic or f"{mqtt.root}/#"
    sums = listen(settings, topic=topic, out=sys.stdout, as_json=args.json, count=args.count, seconds=args.seconds)
    if args.json:
        print(json.dumps({"summary": sums}), flush=True)
    else:
        print(f"{sums['events']} events, {sums['missing']} missing, {sums['duplicates']} duplicates", file=sys.stderr)
    return 0


def _broker(args: argparse.Namespace) -> "MqttConfig":
    """`[mqtt]` of the configuration if one is given, with the command line's arguments over it."""
    from pydantic import ValidationError

    from edge.config import MqttConfig
    from edge.config.file import load_config
    from edge.errors import ConfigError

    given = {"broker": args.broker, "username": args.username, "password_file": args.password_file}
    base = load_config(args.config).mqtt if args.config is not None else MqttConfig(node="watch")
    try:
        return MqttConfig.model_validate({**base.model_dump(), **{k: v for k, v in given.items() if v is not None}})
    except ValidationError as e:
        first = e.errors()[0]
        where = "".join(f"--{str(p).replace('_', '-')}: " for p in first["loc"])
        raise ConfigError(where + first["msg"].removeprefix("Value error, ")) from e

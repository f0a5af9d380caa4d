"""How many nodes a broker holds: `python -m benchmarks.fleet --nodes 100 --rate 2 [--broker mqtt://host:1883]`.

Every node is the agent's own delivery (spool, uplink, transport) with events at a rate; one subscriber hears them all.
"""

import argparse
import contextlib
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.scoreboard.harness import Broker
from edge.clock import Clock
from edge.config import Config
from edge.delivery.delivery import Delivery
from edge.message import Importance, Message, encode
from edge.sequence import new_id


def main() -> int:
    """Status 0 when nothing was missing."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fleet", description=__doc__)
    parser.add_argument("--nodes", type=int, default=100)
    parser.add_argument("--rate", type=float, default=2.0, help="events a second and node")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--broker", help="default: a Mosquitto of its own on this machine")
    args = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fleet-")))
        url = args.broker
        if url is None:
            broker = Broker(folder)
            broker.start()
            stack.callback(broker.stop)
            url = broker.url
        print(json.dumps(_hold(folder, url, args)))
    return 0


def _hold(folder: Path, url: str, args: argparse.Namespace) -> dict[str, Any]:
    root = f"fleet{time.time_ns() % 1_000_000}"
    ages: list[float] = []
    seen: set[tuple[str, int]] = set()

    def heard(_client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        found = json.loads(message.payload)
        seen.add((found["node"], found["seq"]))
        ages.append(time.monotonic() - found["made"])

    listener = paho.Client(CallbackAPIVersion.VERSION2, client_id=root)
    listener.on_connect = lambda client, *_: client.subscribe(f"{root}/+/gate/event", 1)
    listener.on_message = heard
    parts = urlsplit(url)
    listener.connect(parts.hostname or "", parts.port or 1883)
    listener.loop_start()
    nodes = [_node(folder, url, root, f"node-{i}") for i in range(args.nodes)]
    begun = time.monotonic()
    for node in nodes:
        node.start()
    while not all(node.uplink.connected for node in nodes) and time.monotonic() - begun < 60:
        time.sleep(0.05)
    connected = sum(node.uplink.connected for node in nodes)
    connected_s = time.monotonic() - begun
    made, begun = 0, time.monotonic()
    while (now := time.monotonic() - begun) < args.seconds:
        # Spread over time, as a fleet's events are.
        while made < now * args.rate * args.nodes:
            node = nodes[made % args.nodes]
            seq = node.sequence.next()
            name = f"node-{made % args.nodes}"
            body = encode({"node": name, "seq": seq, "made": time.monotonic(), "pad": "x" * 500})
            node.outbox.put(Message(f"{root}/{name}/gate/event", body, Importance.A, seq=seq))
            made += 1
        time.sleep(0.002)
    until = time.monotonic() + 20
    while len(seen) < made and time.monotonic() < until:
        time.sleep(0.05)
    seconds = time.monotonic() - begun
    for node in nodes:
        node.stop(0.0)
        node.close()
    listener.disconnect()
    listener.loop_stop()
    ranked = sorted(ages)
    return {
        "nodes": args.nodes,
        "connected": connected,
        "connected_s": round(connected_s, 2),
        "messages_per_s": round(len(seen) / seconds),
        "made": made,
        "missing": made - len(seen),
        "twice": len(ages) - len(seen),
        "node_to_subscriber_ms": {
            "p50": round(ranked[len(ranked) // 2] * 1e3, 1),
            "p99": round(ranked[len(ranked) * 99 // 100] * 1e3, 1),
        }
        if ranked
        else None,
    }


def _node(folder: Path, url: str, root: str, name: str) -> Delivery:
    config = Config.model_validate(
        {
            "model": {"bundle": "none"},
            "cameras": {"gate": {"source": 0}},
            "mqtt": {"broker": url, "node": name, "root": root, "keepalive_s": 60},
            "spool": {"ballast_bytes": 0},
            "state_dir": str(folder / name),
        }
    )
    return Delivery(config, boot_id=new_id(time.time_ns()), clock=Clock())


if __name__ == "__main__":
    sys.exit(main())

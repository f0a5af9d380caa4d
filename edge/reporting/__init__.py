"""What a node tells: what came and left before its cameras, how it is itself, pictures; topics and payloads as docs/mqtt.md promises."""

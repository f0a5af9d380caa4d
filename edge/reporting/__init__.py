"""What a node tells, in messages for the outbox; topics and payloads are as docs/mqtt.md promises.

`events` tells what came, changed and left before its cameras, `report` how the node is, `snapshots` sends pictures
that `jpeg` made fit; `payloads` knows the topics and the documents.
"""

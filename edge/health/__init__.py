"""How the node is, and what follows from that.

`health` counts and ranks, `liveness` feeds the watchdog, `board` reads heat and throttling, `governor` gives up frames
to stay cool or quick; `vitals` puts them together, and `page` tells them over HTTP, to Prometheus as `exposition` says.
"""

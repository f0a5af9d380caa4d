"""`gluon-edge demo`: a broker, the agent and a subscriber at once, each a real process; its model is `pattern_ssd.zip`."""

"""The scoreboard: what happens to accepted events when things go wrong, for the agent and for a naive script beside it."""

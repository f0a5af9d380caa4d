"""A node as Home Assistant sees it."""

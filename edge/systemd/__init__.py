"""The agent under systemd: installed as its service, and what it tells it; `units/` has the files."""

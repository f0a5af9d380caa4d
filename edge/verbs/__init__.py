"""What the commands of `gluon-edge` do; `edge.cli` says how they are called."""

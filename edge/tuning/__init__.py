"""How fast a model runs on this device, and how it runs fastest: measured, and kept for `gluon-edge run`."""

"""What passes from the workstation to the device: its manifest, its files, whom the device believes."""

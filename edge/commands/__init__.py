"""What the node may be told over the wire, by whom, and what is answered."""

"""How the node is: its figures, its heat, what it gives up to stay cool or quick, whether it works, and the page that tells it."""

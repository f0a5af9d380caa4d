"""A camera's view: what a result shows of it, who is followed in it, where they stand, and what of that is news."""

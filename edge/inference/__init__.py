"""A model on a frame: a session on the best runtime here, what it is given, what it says, and the proof that it says the same here."""

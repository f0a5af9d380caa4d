"""From the outbox through the spool to the broker, and back to those who listen."""

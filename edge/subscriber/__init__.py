"""The other end of the broker: what arrives there, for people and as proof that nothing was lost."""

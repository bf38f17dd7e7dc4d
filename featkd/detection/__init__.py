"""Temporal action detection: which actions an untrimmed video shows, and from when to when."""

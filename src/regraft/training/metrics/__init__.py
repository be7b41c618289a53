"""Metrics by name or function, and the logs of an epoch."""

"""Frozen features of photos, and the engines and stores that they come from."""

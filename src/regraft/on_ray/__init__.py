"""Passes over photos on a Ray cluster. Only ``--on`` imports the package ray."""

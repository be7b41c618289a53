"""Passes over photos and trainings on a Ray cluster. Only ``--on`` imports the package ray."""

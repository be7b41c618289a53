"""Figures about a classifier, each with the photos behind it and its interval. Needs NumPy and nothing else."""

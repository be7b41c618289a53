"""Figures of a classifier, each with its number of photos and its 95 % interval. They need only NumPy."""

"""Stores of features: one on the disk of this machine, and one that many machines share."""

"""Losses by name or function, on targets of many forms, reduced and weighted as in Keras."""

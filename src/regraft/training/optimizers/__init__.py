"""Optimizers by name or function, with Keras's attributes, and the weights that they train."""

"""The linear probe: its solver, the choice of its regularization, and its out-of-fold predictions."""

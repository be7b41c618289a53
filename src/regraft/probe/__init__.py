"""The linear probe: its solver, the choice of its regularisation, and its out-of-fold figures."""

"""The user's requests, one module each: train, evaluate, check, review labels, find a learning rate."""

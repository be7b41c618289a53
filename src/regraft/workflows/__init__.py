"""One module for each request of a person: train, evaluate, check, review labels, find a learning rate."""

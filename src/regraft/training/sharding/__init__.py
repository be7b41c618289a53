"""Training steps in virtual shards, by one process or several, with the same bits."""

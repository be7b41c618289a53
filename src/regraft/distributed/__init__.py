"""Processes that train together: their world, virtual shards of a batch, and sums whose bits do not depend on them."""

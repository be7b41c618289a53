"""Files that cannot be trusted to be whole, and how to write them so that they are."""

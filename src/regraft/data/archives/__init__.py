"""Photos inside archives and other containers, on the disk or at an address, read in place."""

"""The run folder: where it is, what lies in it, and how files get there whole."""

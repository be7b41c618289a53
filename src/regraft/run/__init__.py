"""The run folder: its place, its files, its journal and its lock."""

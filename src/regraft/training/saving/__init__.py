"""The saved state of a training: its snapshots, resuming from them, and files of weights."""

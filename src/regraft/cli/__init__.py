"""The command `regraft`: one file per command, argument parsing and printing only."""

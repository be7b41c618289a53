"""The command `regraft`: one file per command, which only parses arguments and prints results."""

"""`python -m regraft` is the command `regraft`."""

from regraft.cli.main import main

main()

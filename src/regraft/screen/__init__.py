"""The screen: the only way in which a layer below the command line shows anything to the user."""

from regraft.screen.layout import LABEL_WIDTH, clock
from regraft.screen.line_breaks import printable
from regraft.screen.plain_bar import Bar
from regraft.screen.screens import (
    NotebookScreen,
    PlainScreen,
    QuietScreen,
    Screen,
    TerminalScreen,
    screen_for,
    translated_rows,
)

__all__ = [
    "LABEL_WIDTH",
    "Bar",
    "NotebookScreen",
    "PlainScreen",
    "QuietScreen",
    "Screen",
    "TerminalScreen",
    "clock",
    "printable",
    "screen_for",
    "translated_rows",
]

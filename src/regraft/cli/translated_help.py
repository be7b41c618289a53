"""Help texts in the language of the user; in English they are those of cloup, to the byte."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import click
import cloup
from cloup import HelpFormatter
from cloup.styling import IStyle

from regraft.language import ENGLISH, language, translate, translate_word
from regraft.language.typography import separator
from regraft.screen.line_breaks import broken, cells

_EXTRA = re.compile(r"(.*\S)  \[([^]]*)\]", re.DOTALL)
_WHOLE = 10_000
"""A width at which no short help is cut before it is translated."""


class TranslatedFormatter(HelpFormatter):
    """A formatter that translates what it writes, and breaks lines by columns: a Chinese character takes two."""

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        """Write the usage line; arguments keep their names."""
        if language() == ENGLISH:
            super().write_usage(prog, args, prefix)
            return
        translated = self.theme.heading(translate_word(prefix or "Usage:"))
        click.HelpFormatter.write_usage(self, self.theme.invoked_command(prog), args, translated)

    def write_heading(self, heading: str, newline: bool = True) -> None:
        """Write the title of a section; its colon is full-width next to Chinese."""
        if language() == ENGLISH:
            super().write_heading(heading, newline)
            return
        translated = translate_word(heading)
        title = self.theme.heading(translated + separator(": ", translated, "").rstrip())
        self.write(f"{'':>{self.current_indent}}{title}", "\n" if newline else "")

    def write_text(self, text: str, style: IStyle = str) -> None:
        """Write paragraphs; the lines of one that begins with a backspace are kept."""
        if language() == ENGLISH:
            super().write_text(text, *([] if style is str else [style]))
            return
        indent = " " * self.current_indent
        paragraphs = ["\n".join(_lines(one, self.available_width)) for one in re.split(r"\n\s*\n", text)]
        self.write(
            "\n".join(indent + style(line) if line else "" for line in "\n\n".join(paragraphs).split("\n")), "\n"
        )

    def write_tabular_dl(
        self,
        rows: Sequence[tuple[str, object]],
        col1_width: int,
        col_spacing: int,
        col2_width: int,
    ) -> None:
        """Write options or commands, and their texts in a second column."""
        if language() == ENGLISH:
            super().write_tabular_dl(rows, col1_width, col_spacing, col2_width)  # type: ignore[arg-type]
            return
        start = self.current_indent + col1_width + col_spacing
        for first, second in rows:
            whole = second(_WHOLE) if callable(second) else str(second)
            lines = broken(_option_text(whole), col2_width) if whole else []
            gap = start - self.current_indent - cells(first)
            head = " " * self.current_indent + self.theme.col1(first)
            if lines and gap >= col_spacing:
                head += " " * gap + lines.pop(0)
            self.write("\n".join([head, *(" " * start + self.theme.col2(line) for line in lines)]), "\n")


class TranslatedContext(cloup.Context):
    """The context of a command whose help is translated."""

    formatter_class = TranslatedFormatter


def translate_help_of(commands: Iterable[click.Command]) -> None:
    """Let commands, and those below them, write their help in the language of the user."""
    for command in commands:
        command.context_class = TranslatedContext
        if isinstance(command, click.Group):
            translate_help_of(command.commands.values())


def _lines(paragraph: str, width: int) -> list[str]:
    if "\b" not in paragraph:
        text = paragraph.strip()
        return broken(translate(text if "   " in text else " ".join(text.split())), width)
    return [
        part for line in paragraph.replace("\b", "").strip("\n").split("\n") for part in broken(_columns(line), width)
    ]


def _columns(line: str) -> str:
    """Return a line of an aligned text; names and commands in its first column stay as they are."""
    match = re.fullmatch(r"(\s*)(.*?)(?:(\s{2,})(\S.*))?", line)
    assert match is not None
    indent, first, gap, text = (part or "" for part in match.groups())
    first = first if first.startswith("regraft ") else translate_word(first)
    return indent + first + gap + translate(text)


def _option_text(text: str) -> str:
    """Return the text of an option, with what click adds in brackets."""
    match = _EXTRA.fullmatch(text)
    if match is None or translate_word(match[1]) == match[1]:
        return translate_word(text)
    extra = "; ".join(translate_word(part) for part in match[2].split("; "))
    return f"{translate_word(match[1])}  [{extra}]"

"""A screen for tests that records what is printed."""

from __future__ import annotations

from regraft.screen import QuietScreen


class RecordedScreen(QuietScreen):
    """A screen that records the texts of its lines and warnings."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def line(self, label: str, text: str, note: str = "", *, strong: bool = False) -> None:
        self.texts.append(text)

    def warn(self, text: str) -> None:
        self.texts.append(text)

"""The language of everything that is shown.

The source has English texts only. A text is translated where it leaves the program: by a screen, at the end of a call,
in a help text, on a page. The English text is the key of its translation; a text with values, such as ``"398 photos"``,
is recognized by its template ``"{n:n} photos"``. In English nothing is looked up, and every byte stays as it is.
"""

from regraft.language.choice import ENGLISH, LANGUAGES, TAIWAN, language
from regraft.language.translate import translate, translate_cell, translate_heading, translate_word

__all__ = [
    "ENGLISH",
    "LANGUAGES",
    "TAIWAN",
    "language",
    "translate",
    "translate_cell",
    "translate_heading",
    "translate_word",
]

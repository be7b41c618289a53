"""The choice of the language: ``REGRAFT_LANG``, or the locale of the system."""

from __future__ import annotations

import os
import sys

ENGLISH, TAIWAN = "en", "zh_TW"

LANGUAGES = (ENGLISH, TAIWAN)
"""All languages that regraft speaks."""

_VARIABLES = ("REGRAFT_LANG", "LC_ALL", "LC_MESSAGES", "LANG")
_TRADITIONAL = ("zh_tw", "zh_hk", "zh_mo", "zh_hant")


def language() -> str:
    """Return the language of everything that is shown: ``"en"`` or ``"zh_TW"``.

    The first of the variables REGRAFT_LANG, LC_ALL, LC_MESSAGES and LANG that is set decides; on Windows, where none of
    them usually is, the language of the system. All other languages get English.
    """
    name = next((value for variable in _VARIABLES if (value := os.environ.get(variable))), None)
    if name is None and sys.platform == "win32":
        name = _windows_language()
    return known_language(name or "")


def known_language(name: str) -> str:
    """Return the language for the name of a locale, such as ``"zh-TW"``, ``"zh_TW.UTF-8"`` or ``"zh_Hant"``."""
    return TAIWAN if name.replace("-", "_").lower().startswith(_TRADITIONAL) else ENGLISH


def tag(language: str) -> str:
    """Return the tag of a language for HTML: ``"zh-TW"``."""
    return language.replace("_", "-")


def _windows_language() -> str:
    import ctypes
    import locale

    number = getattr(ctypes, "windll").kernel32.GetUserDefaultUILanguage()  # noqa: B009  (exists on Windows only)
    return locale.windows_locale.get(number, "")

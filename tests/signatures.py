"""Signatures as the pages show them: tests compare them with the code, and write them if run as scripts."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

SIGNATURE = re.compile(r"<!-- signature: ([\w.]+) -->\n```text\n(.*?)```\n", re.DOTALL)


def signature(name: str, called: Any) -> str:
    """Return the signature of ``called`` under ``name``, with one argument per line if they are many."""
    parameters = [p for p in inspect.signature(called).parameters.values() if p.name != "self"]
    texts = [_argument(p) for p in parameters]
    for i, p in enumerate(parameters):
        if p.kind is p.KEYWORD_ONLY and "*" not in texts:
            texts.insert(i, "*")
    flat = f"{name}({', '.join(texts)})"
    return flat if len(flat) <= 110 else f"{name}(\n" + "".join(f"    {text},\n" for text in texts) + ")"


def _argument(p: inspect.Parameter) -> str:
    stars = {p.VAR_KEYWORD: "**", p.VAR_POSITIONAL: "*"}.get(p.kind, "")
    default = "" if p.default is p.empty else f"={p.default!r}"
    return f"{stars}{p.name}{default}"


def regenerated(page: str, find: Callable[[str], Any]) -> str:
    """Return the text of a page with all its signatures as the code has them; ``find`` returns the object of a name."""
    return SIGNATURE.sub(lambda m: f"<!-- signature: {m[1]} -->\n```text\n{signature(m[1], find(m[1]))}\n```\n", page)

"""Every block of code on every page is run, or its syntax is checked and the page or this table gives the reason.

| language | check |
|---|---|
| `python` | run by the test of its page (`RUN_BY`), by the test that `<!-- run by: FILE -->` above it names, as a |
| | quotation of a file that runs, or by `test_pages_run.py`; compiled only, with `<!-- not run: REASON -->` above it |
| `console` | its commands are parsed by the command line; other programs are listed in `doc_blocks.py` |
| `text` | signatures and help are compared with the code, commands of regraft parsed; the rest is layouts and results |
| `json`, `toml`, `yaml`, `sh` | parsed |
| any other | needs `<!-- not run: REASON -->` |
"""

from __future__ import annotations

from collections import Counter

import pytest

from doc_blocks import RUN_BY, way_of
from doc_pages import PAGES, ROOT, all_blocks, blocks_of, name_of, tokens_of

NAMED = [name_of(page) for page in PAGES]


@pytest.mark.parametrize("name", [name for name in NAMED if blocks_of(name)])
def test_each_block_is_checked_in_its_way(name):
    for block in blocks_of(name):
        assert way_of(block)


def test_no_block_was_missed():
    """Counted twice: by the expression of `doc_pages`, and by a parser of Markdown."""
    for name in NAMED:
        fences = [token for token in tokens_of(name) if token.type == "fence"]
        assert [token.content for token in fences] == [block.code for block in blocks_of(name)], name
        assert not [token.content for token in tokens_of(name) if token.type == "code_block"], f"{name}: indented code"


def test_blocks_of_every_kind_were_found():
    ways = Counter((block.language, way_of(block)) for block in all_blocks())
    assert ways["python", "run"] >= 36
    assert ways["python", "run as a script"] >= 11
    assert ways["python", "not run"] >= 8
    assert ways["python", "quoted"] == 5
    assert ways["console", "parsed"] >= 30
    assert ways["text", "compared"] >= 63
    assert len(all_blocks()) >= 166


def test_the_tests_that_run_pages_exist():
    assert {"docs/callbacks.md", "docs/python.md", "docs/scikit-learn.md"} <= set(RUN_BY)
    for page, test in RUN_BY.items():
        assert (ROOT / page).exists(), test

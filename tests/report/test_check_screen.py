"""The findings of a check on the terminal."""

from __future__ import annotations

import io

from regraft.report.check_screen import by_kind, show_check
from regraft.screen import PlainScreen


def finding(kind, level, *photos, words="words"):
    return {"kind": kind, "level": level, "photos": list(photos), "words": words}


def shown(findings, **more):
    check = {"photos": "garden", "files": {"ok": 26, "put aside": 1}, "classes": {"ash": 13, "birch": 13},
             "accuracy": 0.9, "findings": findings}  # fmt: skip
    out = io.StringIO()
    show_check({**check, **more}, PlainScreen(out))
    return out.getvalue().splitlines()


def test_without_findings():
    assert shown([]) == [
        "photos   26 photos · 2 classes · 1 unusable   garden",
        "probe    90.0 % cross-validated   used to find wrong labels",
        "found    no problems found",
    ]
    assert shown([], skipped=["2 videos skipped"])[0].startswith(
        "photos   26 photos · 2 classes · 1 unusable · 2 videos skipped"
    )
    assert shown([], accuracy=None, files={"ok": 1}) == [
        "photos   1 photo · 2 classes   garden",
        "found    no problems found",
    ]


def test_a_single_class_is_not_enough_for_a_training():
    assert shown([], classes={"images": 26}, accuracy=None) == [
        "photos   26 photos · 1 class · 1 unusable   garden",
        "         one class only: a training needs at least two",
        "found    no problems found",
    ]


def test_findings_that_the_user_has_decided_about_are_counted_and_not_listed():
    tiny = {**finding("tiny", "info", "a.png"), "decided": True}
    assert shown([tiny])[2:] == [
        "decided  not listed: 1 finding that your decisions settle",
        "found    no further problems found",
    ]
    assert shown([tiny, finding("blank", "info", "b.png")])[3:] == [
        "found    level  problem  n  for example",
        "         info   blank    1  b.png: words",
    ]


def test_kinds_are_rows_and_the_most_serious_come_first():
    findings = [
        finding("tiny", "info", "a.png"),
        finding("leak", "error", "b.png", "c.png", "d.png"),
        finding("leak", "error", "e.png"),
        finding("imbalance", "warning", words="one class is rare"),
    ]
    assert list(by_kind({"findings": findings})) == [("error", "leak"), ("warning", "imbalance"), ("info", "tiny")]
    assert shown(findings)[2:] == [
        "found    level    problem    n  for example",
        "         error    leak       2  b.png, c.png + 1: words",
        "         warning  imbalance  1  one class is rare",
        "         info     tiny       1  a.png: words",
    ]

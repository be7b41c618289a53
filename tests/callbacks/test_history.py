"""The record of a training in a notebook."""

from __future__ import annotations

from regraft.callbacks import History


def test_a_history_is_shown_as_a_table():
    history = History()
    history.on_epoch_end(0, {"loss": 0.123456, "<b>": 1})
    history.on_epoch_end(1, {"loss": None})
    history.stop_reason = "no gain & no time"
    html = history._repr_html_()
    assert "<tr><th>1</th><td>0.1235</td><td>1</td></tr><tr><th>2</th><td></td><td></td></tr>" in html
    assert "<th>&lt;b&gt;</th>" in html and "no gain &amp; no time" in html
    assert History()._repr_html_().startswith("<table>")

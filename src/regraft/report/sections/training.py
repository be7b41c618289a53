"""The training: curves per stage, learning rates, time line, and the ladder of candidates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from regraft.report.charts import epochs_chart, rate_chart
from regraft.report.drawing import figure_html
from regraft.report.elements import bar, details, section, table
from regraft.report.page import text
from regraft.report.run_data import RunData
from regraft.screen import clock
from regraft.text import counted


def training(run: RunData) -> str:
    """Return curves, learning rates, the ladder and the time line."""
    return section("training", "How it was trained", _curves(run), _ladder(run), _time_line(run))


def _curves(run: RunData) -> str:
    if not run.history:
        why = run.metrics.get("training", {}).get("fine_tuning")
        note = f" Fine-tuning was not tried: {text(why)}." if why else ""
        return f"<p>The linear probe was solved at once, so there are no epochs.{note}</p>" if run.metrics else ""
    best = best_epochs(run.events)
    probe = _probe_accuracy(run)
    charts = [figure_html(epochs_chart(run.history, "loss", "loss", best), "loss", "Loss")]
    if any("accuracy" in row for row in run.history):
        chart = epochs_chart(run.history, "accuracy", "accuracy", best, probe)
        charts.append(figure_html(chart, "accuracy", "Accuracy"))
    if any(isinstance(row.get("learning_rate"), float) for row in run.history):
        charts.append(figure_html(rate_chart(run.history), "rate", "Learning rate"))
    ends = "".join(f"<li>{_end(event)}</li>" for event in run.events if event.get("event") == "best epoch")
    names = list(dict.fromkeys(key for row in run.history for key in row))
    rows = [[text(_cell(row.get(key))) for key in names] for row in run.history]
    numbers = table([text(key.replace("_", " ")) for key in names], rows, caption="Figures of each epoch")
    return (
        f'<div class="charts">{"".join(charts)}</div>{f"<ul>{ends}</ul>" if ends else ""}'
        f"{details('All epochs as a table', numbers)}"
    )


def best_epochs(events: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Return the epoch that was kept, by stage."""
    return {
        str(event["stage"]): int(event["epoch"])
        for event in events
        if event.get("event") == "best epoch" and event.get("epoch")
    }


def _end(event: Mapping[str, Any]) -> str:
    reason = event.get("stop_reason")
    why = f"it stopped: {text(str(reason).rpartition(': ')[2])}" if reason else "all planned epochs were trained"
    return f"<b>{text(event['stage'])}</b>: epoch {event['epoch']} of {event['of']} was kept; {why}."


def _probe_accuracy(run: RunData) -> float | None:
    photos = run.headline.get("photos")
    entry = run.metrics.get("measured", {}).get(f"linear-probe/{photos}")
    return entry["figures"]["accuracy"]["value"] if entry and run.metrics.get("chosen") != "linear-probe" else None


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.0f}" if value.is_integer() and value < 1e6 else f"{value:.4g}"
    return "" if value is None else str(value)


def _ladder(run: RunData) -> str:
    """Return the candidates that were compared, with the gain and the time of each."""
    facts = run.metrics.get("training", {})
    choices = facts.get("choices", ())
    if not choices:
        return ""
    seconds = stage_seconds(run.events)
    rows = []
    for choice in choices:
        low, high = choice["expected_interval"]
        spent = seconds.get(choice["kept"], seconds.get(choice["discarded"]))
        gain = f"{choice['expected_points']:+.1f} <small>{low:+.1f} to {high:+.1f}</small>"
        time = "" if spent is None else clock(spent)
        rows.append([f"<b>{text(choice['kept'])}</b>", text(choice["discarded"]), gain, time])
    head = ["kept", "instead of", "points expected, 95 % interval", "time"]
    share = facts.get("share_of_fine_tuned")
    mixed = (
        f"<p>Predictions mix the fine-tuned network ({100 * share:.0f} %) with the linear probe.</p>" if share else ""
    )
    ended = f"<p>No further step: {text(facts['fine_tuning'])}.</p>" if facts.get("fine_tuning") else ""
    return f"<h3>What each step gained and cost</h3>{table(head, rows, left=(1,), caption='Steps')}{mixed}{ended}"


def stage_seconds(events: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the seconds of the epochs of each stage, from the event before its first epoch to its last one."""
    out: dict[str, float] = {}
    before = 0.0
    for event in events:
        now = float(event.get("time", before))
        if event.get("event") == "epoch":
            stage = str(event.get("stage"))
            out[stage] = out.get(stage, 0.0) + max(0.0, now - before)
        before = now
    return out


def _time_line(run: RunData) -> str:
    spans = time_spans(run.events)
    whole = sum(seconds for _, seconds, _ in spans)
    if whole <= 0:
        return ""
    rows = [[text(title), bar(seconds / whole), clock(seconds), note] for title, seconds, note in spans]
    shown = table(["", "", "min:s", ""], rows, left=(3,), caption="Time of each step")
    return f"<h3>Where the time went</h3><p>{clock(whole)} in total.</p>{shown}"


_STEPS = {
    "features": "decoding and features",
    "copies": "search for copies",
    "probe": "linear probe",
    "activations": "activations for fine-tuning",
    "epoch": "training",
    "end": "measuring and saving",
}


def time_spans(events: Sequence[Mapping[str, Any]]) -> list[tuple[str, float, str]]:
    """Return the steps of a run, each with its seconds and a note as HTML; events of a step end it."""
    spans: dict[str, tuple[float, str]] = {}
    before: float | None = None
    for event in events:
        kind, now = str(event.get("event")), float(event.get("time", 0.0))
        if kind in ("start", "resume"):
            title, seconds = "start of the program", float(event.get("running_for", 0.0))
        else:
            stage = f": {event.get('stage')}" if kind == "epoch" else ""
            title = _STEPS.get(kind, "choices") + stage
            seconds = 0.0 if before is None else max(0.0, now - before)
        note = _note(event) or spans.get(title, (0.0, ""))[1]
        spans[title] = (spans.get(title, (0.0, ""))[0] + seconds, note)
        before = now
    return [(title, seconds, note) for title, (seconds, note) in spans.items() if seconds >= 0.05 or note]


def _note(event: Mapping[str, Any]) -> str:
    if event.get("event") != "features":
        return ""
    stored = int(event.get("from_store", 0))
    computed = counted(int(event.get("photos", 0)), "photo")
    return f"{computed} computed, {stored:,} from the store" if stored else f"{computed} computed"

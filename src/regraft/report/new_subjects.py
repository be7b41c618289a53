"""The accuracy to expect on new subjects, where photos of the same subject make the reported one too high."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

GROUPING = {"time": "capture time", "number": "number in the name", "look": "look"}

WIDE = 0.1
"""Half of an interval above which no single figure is shown."""


def clear_series(metrics: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the clear effect of series in ``metrics.json``; None without one."""
    series = metrics.get("series") or {}
    return next((one for one in series.get("tested", []) if one["group_by"] == series.get("group_by")), None)


def expected_on_new_subjects(effect: Mapping[str, Any], reported: float) -> str:
    """Return a warning with the accuracy to expect on new subjects, and what is plausible.

    Args:
        effect: the result of `clear_series`.
        reported: the accuracy that is reported, as a share.
    """
    found = GROUPING[effect["group_by"]]
    if "on_new_subjects" not in effect:  # a run of an earlier version has only the loss in blocks
        expected = max(0.0, reported - effect["loss"]["value"])
        return (
            f"photos taken together look alike: expect about {100 * expected:.0f} %, not {100 * reported:.0f} %, on "
            f"new subjects (found by {found})"
        )
    loss = effect["on_new_subjects"]
    expected = min(reported, max(0.0, reported - loss["value"]))
    least, most = max(0.0, reported - loss["interval"][1]), min(reported, reported - loss["interval"][0])
    if loss["interval"][1] - loss["interval"][0] > 2 * WIDE:
        return (
            f"photos taken together look alike: expect {100 * least:.0f} to {100 * most:.0f} %, not "
            f"{100 * reported:.0f} %, on new subjects (found by {found})"
        )
    return (
        f"photos taken together look alike: expect about {100 * expected:.0f} %, not {100 * reported:.0f} %, on new "
        f"subjects ({100 * least:.0f} to {100 * most:.0f} % is plausible; found by {found})"
    )

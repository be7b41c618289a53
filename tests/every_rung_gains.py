"""`auto` on any photos, with a gain in every rung."""

from __future__ import annotations

import numpy as np
import pytest


def every_rung_gains(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make `auto` try every rung on any number of photos, and keep it, mixed with the linear probe."""
    from regraft.recipes import auto
    from regraft.recipes.steps import candidates, mixing
    from regraft.recipes.steps.gain import Gain
    from regraft.recipes.steps.no_gain_end import NoGainEnd
    from regraft.recipes.steps.outlook import Outlook

    monkeypatch.setattr(auto, "MIN_TRAIN", 4)
    monkeypatch.setattr(auto, "MIN_PER_CLASS", 1)
    monkeypatch.setattr(auto, "MIN_VALIDATION", 1)
    monkeypatch.setattr(Outlook, "pays", True)
    monkeypatch.setattr(NoGainEnd, "_is_behind", lambda self, done: False)
    monkeypatch.setattr(candidates, "measured_gain", lambda *_: Gain(np.array([0.5, 0.5]), 1e-6 * np.eye(2)))
    monkeypatch.setattr(mixing, "measured_gain", lambda *_: Gain(np.array([0.9, 0.9]), 1e-6 * np.eye(2)))

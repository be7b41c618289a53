"""The regression of gains on the figures of folders, and its spread."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from regraft.advice.evidence import Evidence
from regraft.advice.folder_figures import FolderFigures, smoothed_error
from regraft.advice.gain_model import UNKNOWN_DEVIATION, WayGain, fit_gain_model

FOLDER = FolderFigures(
    photos=200, classes=4, error=0.25, error_deviation=0.03, log_loss=0.6, lead=0.1, added=0.0, slope=0.1
)


def evidence(gain_of_lead, *, folders=12, way="upper blocks", noise=0.0):
    """Folders whose gain depends on the lead of their top layer, two cuts of each."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(folders):
        lead = -0.2 + 0.4 * number / (folders - 1)
        for _ in range(2):
            figures = replace(FOLDER, lead=lead, photos=int(rng.integers(100, 400)))
            rows.append(Evidence(f"folder {number}", figures, way, gain_of_lead(lead) + noise * rng.normal(), 5000))
    return rows


def test_a_gain_that_depends_on_a_figure_is_predicted_from_it():
    model = fit_gain_model("upper blocks", evidence(lambda lead: 0.2 - lead))
    unlike, alike = (model.predict(replace(FOLDER, lead=lead)) for lead in (-0.15, 0.15))
    assert unlike.mean > 0.22 and alike.mean < 0.15


def test_a_figure_that_was_not_measured_counts_as_average_and_widens():
    model = fit_gain_model("upper blocks", evidence(lambda lead: 0.2 - lead))
    known, unknown = model.predict(replace(FOLDER, lead=0.0)), model.predict(replace(FOLDER, lead=None))
    assert unknown.mean == pytest.approx(known.mean, abs=0.02)
    assert unknown.deviation > known.deviation


def test_far_outside_the_evidence_the_prediction_does_not_grow():
    model = fit_gain_model("upper blocks", evidence(lambda lead: 0.2 - lead))
    assert model.predict(replace(FOLDER, lead=-5.0)).mean == model.predict(replace(FOLDER, lead=-50.0)).mean


def test_the_spread_is_that_of_folders_that_were_left_out():
    quiet = fit_gain_model("upper blocks", evidence(lambda lead: 0.1))
    loud = fit_gain_model("upper blocks", evidence(lambda lead: 0.1, noise=0.4))
    assert 0.15 < loud.deviation < 0.6
    assert quiet.deviation < 0.1


def test_without_evidence_no_gain_is_expected_and_nothing_is_known():
    gain = fit_gain_model("all blocks", evidence(lambda lead: 0.5)).predict(FOLDER)
    assert gain.mean == 0.0 and gain.deviation >= UNKNOWN_DEVIATION


def test_the_probe_at_all_depths_starts_from_what_the_depth_profile_says():
    model = fit_gain_model("depth", [])
    assert model.predict(replace(FOLDER, added=0.3)).mean == pytest.approx(0.3)
    assert model.predict(replace(FOLDER, added=-0.3)).mean == 0.0


def test_a_measurement_on_the_same_folder_moves_the_gain_towards_it():
    gain = WayGain(0.0, 0.2).updated(0.4, 0.2**2)
    assert gain.mean == pytest.approx(0.2) and gain.deviation == pytest.approx(0.2 / math.sqrt(2))


def test_a_few_photos_without_a_mistake_prove_little():
    assert smoothed_error(0, 10) == pytest.approx(1 / 12)

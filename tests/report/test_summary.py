"""The summary of a run: figures, comparisons, and a warning where few photos prove little."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest

from regraft.errors import RunFolderError
from regraft.measure.metrics import classification_report
from regraft.report.summary import measured_on, show_run
from regraft.screen import PlainScreen


def entry(y, predicted, classes, photos="test", chosen_on=False):
    """An entry of metrics.json for a classifier that is 90 % sure of ``predicted``."""
    k = len(classes)
    p = np.full((len(y), k), 0.1 / (k - 1))
    p[np.arange(len(y)), predicted] = 0.9
    figures = classification_report(p, y, classes)
    return {"photos": photos, "n": len(y), "used_for_choosing": chosen_on, "how": "", "figures": figures}


@pytest.fixture
def shown(tmp_path):
    def show(
        measured,
        headline="final/test",
        chosen="fine-tune",
        recipe="auto",
        training=None,
        naive=None,
        series=None,
        verbose=False,
        **config,
    ):
        run = tmp_path / "runs" / "trees-auto-001"
        run.mkdir(parents=True)
        metrics = {"format": 1, "recipe": recipe, "chosen": chosen, "headline": headline, "measured": measured}
        metrics["training"] = training or {"photos": 100}
        if naive is not None:
            metrics["naive_split"] = naive
        if series is not None:
            metrics["series"] = series
        (run / "metrics.json").write_text(json.dumps(metrics))
        (run / "config.json").write_text(json.dumps({"format": 1, "photos": "my trees", "labels": None, **config}))
        (run / "model.safetensors").write_bytes(b"x" * 17_000_000)
        out = io.StringIO()
        show_run(run, PlainScreen(out, verbose=verbose))
        return out.getvalue()

    return show


def test_a_good_result_is_compared_on_the_same_photos(shown):
    y = np.repeat([0, 1, 2], [60, 50, 40])
    good, probe = y.copy(), y.copy()
    good[:3], probe[:9] = 1, 1
    classes = ["ash", "birch", "cedar"]
    text = shown({"final/test": entry(y, good, classes), "linear-probe/test": entry(y, probe, classes)})
    assert "accuracy 98.0 %   (94.3 – 99.3, 95 % interval)   150 test photos, never used to make a choice\n" in text
    assert "linear probe  94.0 %" in text and "largest class alone (ash)  40.0 %" in text
    assert "weakest  ash 95 % (n 60)" in text and "most confused  ash → birch 3×" in text
    assert "top-2" in text and "is plausible" not in text and "balanced" not in text
    assert "model.safetensors 17 MB" in text and "trees-auto-001 new/*.jpg" in text


def test_a_random_split_is_reported_where_it_differs_clearly(shown):
    y = np.repeat([0, 1], 50)
    measured = {"final/test": entry(y, y, ["ash", "birch"])}
    naive = {"random": {"value": 0.96}, "grouped": {"value": 0.9}, "difference": {"interval": [0.02, 0.1]}}
    text = shown(measured, naive=naive)
    assert "a random split would have reported  96.0 %" in text and "with duplicates together" not in text


def test_a_random_split_that_tells_nothing_is_a_detail(shown):
    y = np.repeat([0, 1], 50)
    naive = {"random": {"value": 0.96}, "grouped": {"value": 0.95}, "difference": {"interval": [-0.05, 0.05]}}
    text = shown({"final/test": entry(y, y, ["ash", "birch"])}, naive=naive, verbose=True)
    assert "would have reported" not in text
    assert "a random split 96.0 %, with duplicates together 95.0 % (-5.0 to +5.0 points)" in text


def test_few_photos_prove_little(shown):
    y = np.repeat([0, 1], 5)
    text = shown({"final/test": entry(y, [0, 0, 0, 1, 1, 1, 1, 1, 1, 0], ["ash", "birch"])})
    assert "with 10 photos, any accuracy from 40 to 89 % is plausible" in text
    assert "not clearly better than always predicting 'ash', which is correct for 50.0 % of them" in text


def test_uneven_classes_show_the_balanced_accuracy(shown):
    y = np.repeat([0, 1], [500, 5])
    text = shown({"final/test": entry(y, np.zeros(505, int), ["common", "rare"])})
    assert "balanced accuracy  50.0 %" in text and "not clearly better than always predicting 'common'" in text
    assert "weakest  rare 0 % (n 5)" in text


def test_no_mistakes(shown):
    y = np.repeat([0, 1], 100)
    text = shown({"final/test": entry(y, y, ["ash", "birch"])})
    assert "no mistakes" in text and "accuracy 100.0 %" in text


def test_photos_that_chose_the_epoch_are_marked_as_optimistic():
    chosen_on = {"n": 9, "photos": "validation", "used_for_choosing": True}
    assert measured_on(chosen_on) == ("9 validation photos, also used to choose the best epoch, so this is optimistic")


def test_a_linear_probe_points_to_more(shown):
    y = np.repeat([0, 1], 100)
    mistaken = np.where(np.arange(200) % 5, y, 1 - y)
    measured = {"final/out-of-fold": entry(y, mistaken, ["ash", "birch"], "out-of-fold")}
    config = {"group_by": "parent", "decisions": "d.csv", "split": [0.8, 0.1, 0.1], "seed": 0, "all_depths": True}
    text = shown(measured, "final/out-of-fold", "linear-probe", "linear-probe", **config)
    assert "each scored by a linear probe that was trained without it" in text and "this is the linear probe" in text
    assert "improve  regraft train 'my trees' --budget 10m --group-by parent --decisions d.csv   also" in text


@pytest.mark.parametrize(
    ("n", "mistakes", "config"),
    [(150, 9, {}), (400, 1, {}), (200, 9, {"split": [0.9, 0.0, 0.1]}), (400, 9, {"callbacks": ["EarlyStopping"]})],
)
def test_no_command_is_printed_that_would_fine_tune_nothing(shown, n, mistakes, config):
    y = np.repeat([0, 1], n // 2)
    mistaken = y.copy()
    mistaken[:mistakes] = 1
    measured = {"final/out-of-fold": entry(y, mistaken, ["ash", "birch"], "out-of-fold")}
    assert "improve" not in shown(measured, "final/out-of-fold", "linear-probe", "linear-probe", **config)


def test_what_was_trained_is_said_and_what_did_not_gain_leads_back_to_auto(shown):
    y = np.repeat([0, 1], 100)
    worse = y.copy()
    worse[:3] = 1
    training = {"photos": 190, "trained": "all blocks", "learning_rate": 3e-05, "epochs": 4, "best_epoch": 2}
    measured = {"final/test": entry(y, worse, ["ash", "birch"]), "linear-probe/test": entry(y, y, ["ash", "birch"])}
    text = shown(measured, recipe="fine-tune", training=training)
    assert "trained  all blocks · 190 photos · epoch 2 of 4 kept\n" in text
    assert "learning rate" not in text  # for experts: --verbose
    assert "--budget 10m   keeps the better of the linear probe and fine-tuning" in text


def test_a_choice_is_shown_with_what_it_may_have_cost(shown):
    y = np.repeat([0, 1], 100)
    choices = [
        {
            "kept": "upper 4 blocks",
            "discarded": "linear probe",
            "expected_points": 2.34,
            "expected_interval": [-0.5, 5.1],
        },
        {"kept": "all blocks", "discarded": "upper 4 blocks", "expected_points": 3.0, "expected_interval": [1.0, 5.0]},
    ]
    training = {"photos": 190, "trained": "all blocks", "epochs": 4, "choices": choices, "share_of_fine_tuned": 0.55}
    text = shown({"final/test": entry(y, y, ["ash", "birch"])}, training=training)
    first = "chosen   upper 4 blocks instead of linear probe: +2.3 points expected   (-0.5 to +5.1, 95 % interval: "
    assert first + "may have cost up to 0.5)\n" in text
    assert (
        "chosen   all blocks instead of upper 4 blocks: +3.0 points expected   (+1.0 to +5.0, 95 % interval: " in text
    )
    assert "all blocks · 190 photos · probabilities mixed with the linear probe's, 55 % its own" in text


def test_no_finished_run(tmp_path):
    with pytest.raises(RunFolderError, match="no such run folder"):
        show_run(tmp_path / "gone", PlainScreen(io.StringIO()))


def test_the_accuracy_on_new_subjects_stands_beside_the_accuracy(shown):
    y = np.repeat([0, 1], [100, 100])
    wrong = y.copy()
    wrong[:10] = 1
    measured = {"final/test": entry(y, wrong, ["ash", "birch"])}
    effect = {"group_by": "number", "n": 200, "loss": {"value": 0.1, "n": 200, "interval": [0.06, 0.14]}}
    text = " ".join(shown(measured, series={"tested": [effect], "group_by": "number"}).split())
    assert "expect about 85 %, not 95 %, on new subjects (found by number in the name)" in text
    assert "regraft train 'my trees' --group-by number" in text


@pytest.mark.parametrize(
    ("interval", "expected"),
    [
        ((0.02, 0.18), "expect about 85 %, not 95 %, on new subjects (77 to 93 % is plausible"),
        ((-0.05, 0.21), "expect 74 to 95 %, not 95 %, on new subjects"),
        ((-0.05, 1.2), "expect 0 to 95 %, not 95 %, on new subjects"),
    ],
)
def test_a_wide_interval_on_new_subjects_is_shown_in_place_of_a_number(shown, interval, expected):
    y = np.repeat([0, 1], [100, 100])
    wrong = y.copy()
    wrong[:10] = 1
    on_new = {"value": 0.1, "n": 200, "interval": list(interval)}
    loss = {"value": 0.3, "n": 200, "interval": [0.2, 0.4]}
    effect = {"group_by": "time", "n": 200, "loss": loss, "on_new_subjects": on_new}
    text = " ".join(
        shown(
            {"final/test": entry(y, wrong, ["ash", "birch"])}, series={"tested": [effect], "group_by": "time"}
        ).split()
    )
    assert expected in text and "found by capture time" in text


def test_no_series_no_word_of_them(shown):
    y = np.repeat([0, 1], [100, 100])
    effect = {"group_by": "number", "n": 200, "loss": {"value": 0.0, "n": 200, "interval": [-0.02, 0.02]}}
    text = shown({"final/test": entry(y, y, ["ash", "birch"])}, series={"tested": [effect], "group_by": None})
    assert "new subjects" not in text


def test_a_fine_tuned_network_is_compared_photo_by_photo_and_by_the_figure_of_all_photos(shown):
    y = np.repeat([0, 1], [6, 5])
    probe, all_y = y.copy(), np.repeat([0, 1], [60, 60])
    probe[:2] = 1
    classes = ["ash", "birch"]
    final = entry(y, y, classes) | {"over_linear_probe": {"value": 2 / 11, "n": 11, "interval": [-0.1, 0.4]}}
    measured = {
        "final/test": final,
        "linear-probe/test": entry(y, probe, classes),
        "linear-probe/out-of-fold": entry(all_y, all_y, classes, photos="out-of-fold"),
    }
    text = " ".join(shown(measured).split())
    assert "linear probe 81.8 % on the same photos (+18.2 points, -10.0 to +40.0)" in text
    assert "out of fold on 120 photos 100.0 %" in text

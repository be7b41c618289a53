"""The live page in a browser: runs, curves, the end of a run, and trainings of the real Keras."""

from __future__ import annotations

import json

import pytest

from chromium import serious_problems, wait_until
from making_runs import add_epochs, beat, make_run

pytestmark = pytest.mark.slow  # a browser

X_OF = "name => [...runs.values()].find(run => run.status.name === name)?.x"


@pytest.fixture
def live(address, page):
    """The page of the monitor, connected."""
    page.goto(address)
    page.get_by_text("Live", exact=True).wait_for()
    return page


def wait_for_points(live, name, x):
    wait_until(live, f"([name, x]) => JSON.stringify(({X_OF})(name)) === JSON.stringify(x)", [name, x])


def test_a_run_appears_grows_and_ends_with_its_report(tmp_path, live):
    run = make_run(tmp_path / "runs" / "garden-auto-001", epochs=3, budget=600)
    wait = {
        "label": "tuning",
        "unit": "photos",
        "done": 5,
        "total": 10,
        "note": "",
        "per_second": 214,
        "seconds_left": 22,
    }
    beat(run, wait=wait)
    wait_for_points(live, "garden-auto-001", [1, 2, 3])
    add_epochs(run, 4, 5)
    wait_for_points(live, "garden-auto-001", [1, 2, 3, 4, 5])
    assert live.text_content("#lead") == "garden-auto-001: tuning 50 %, 0:22 left."
    assert "214photos per second" in live.text_content("#facts") and "87.5 %" in live.text_content("#facts")
    live.get_by_text("5 points").wait_for()
    assert live.locator("#charts path").count() > 3
    assert live.locator("#charts figure").count() == 2  # loss, and accuracy with the linear probe alone
    (run.path / "report.html").write_text("<h1>The report</h1>", encoding="utf-8")
    run.journal.add("end", chosen="fine-tune", seconds=5)
    live.frame_locator(".run iframe").get_by_text("The report").wait_for()
    assert live.get_attribute(".run", "data-state") == "finished"


def test_names_are_text(tmp_path, live):
    name = '<img src=x onerror="document.title=1">\u202e花'
    make_run(tmp_path / "runs" / name, epochs=1, recipe="<script>document.title=2</script>")
    live.wait_for_selector(".run")
    assert live.locator(".run img, .run script").count() == 0 and live.title() == "regraft monitor"
    assert live.text_content(".run bdi") == name.replace("\u202e", "\\x202e")


def test_the_stop_button_writes_a_stop_request(tmp_path, live):
    run = make_run(tmp_path / "runs" / "a", epochs=1)
    beat(run)
    with live.expect_response("**/stop") as answer:
        live.get_by_role("button", name="Stop").click()
    assert answer.value.status == 200 and live.get_by_role("button", name="Stopping …").count() == 1
    assert (run.resume / "stop-request").exists()


def test_runs_side_by_side_and_no_serious_finding_of_axe(tmp_path, live):
    for name in ("a", "b"):
        run = make_run(tmp_path / "runs" / name, epochs=4)
        run.journal.add("end", chosen="fine-tune", seconds=5)
        run.metrics.write_text(json.dumps({"format": 1}), encoding="utf-8")
    for name in ("a", "b"):
        live.get_by_label(f"Show the curves of {name}").set_checked(True)
    live.get_by_text("Side by side").wait_for()
    assert live.locator("#charts .key").nth(1).text_content().count("training") == 2
    for width, scheme in ((1280, "light"), (390, "dark")):
        live.set_viewport_size({"width": width, "height": 900})
        live.emulate_media(color_scheme=scheme)
        assert serious_problems(live) == []
        assert live.evaluate("document.documentElement.scrollWidth") <= width


def test_keras_s_own_remote_monitor_posts_a_real_training_and_the_page_shows_its_curve(tmp_path, address, live):
    import keras
    import numpy as np

    x = np.random.default_rng(0).normal(size=(16, 3))
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile("sgd", "mse", metrics=["mae"])
    monitor = keras.callbacks.RemoteMonitor(root=address, headers={"X-Run": "keras"})
    history = model.fit(x, x[:, :1], validation_split=0.25, epochs=3, verbose=0, callbacks=[monitor])
    wait_for_points(live, "remote-keras-001", [0, 1, 2])
    losses = live.evaluate("[...runs.values()][0].series.val_loss")
    assert losses == pytest.approx(history.history["val_loss"], rel=1e-5)
    events = (tmp_path / "runs" / "remote-keras-001" / "events.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(event)["mae"] for event in events] == pytest.approx(history.history["mae"])


def test_figures_with_the_names_of_javascript(tmp_path, live):
    first, second = (make_run(tmp_path / "runs" / name, epochs=2) for name in ("a", "b"))
    wait_for_points(live, "b", [1, 2])
    for name in ("constructor", "__proto__", "toString"):
        first.journal.add("epoch", stage="all blocks", epoch=3, **{name: 0.5})
    wait_for_points(live, "a", [1, 2, 3])
    for run in (first, second):
        live.get_by_label(f"Show the curves of {run.path.name}").set_checked(True)
    live.get_by_role("heading", name="constructor").wait_for()
    assert live.locator("#charts figure").count() >= 4

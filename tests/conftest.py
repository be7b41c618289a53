"""What all tests share."""

from __future__ import annotations

import gc
import os
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")  # next to processes that keep all cores busy, examples are slow to generate

os.environ["KERAS_BACKEND"] = "torch"  # before any test imports keras

REPOSITORY = Path(__file__).resolve().parent.parent


def pytest_collection_finish() -> None:
    """Take the modules and tests, which stay to the end, out of the garbage collector, and let it run less often.

    It took a fifteenth of the time of all tests. A test that needs a collection calls ``gc.collect()``.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


@pytest.fixture(scope="session")
def photos_root() -> Path:
    """The folder of real photos (flowers5, hymenoptera); tests that need it are skipped where it is absent."""
    root = Path(os.environ.get("REGRAFT_TEST_PHOTOS", REPOSITORY.parent / "shared" / "photos"))
    if not root.is_dir():
        pytest.skip(
            f"no real photos at {root}; set REGRAFT_TEST_PHOTOS to a folder that contains hymenoptera and flowers5"
        )
    return root


@pytest.fixture(scope="session", autouse=True)
def own_cache_and_width_of_the_tests(tmp_path_factory):
    """No test reads or writes the cache of the person who runs it.

    Tests of whole runs share this one, so that features of the same photos are computed once. Tests of the cache, and
    tests that replace what is cached, set ``REGRAFT_CACHE`` to a folder of their own.

    The terminal of the tests is so wide that messages stay on one line; tests of line breaks set their own ``COLUMNS``.
    Messages are in English, whatever the locale; tests of a translation set ``REGRAFT_LANG``.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REGRAFT_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("COLUMNS", "300")
        patch.setenv("REGRAFT_LANG", "en")
        yield


@pytest.fixture(scope="session", autouse=True)
def heed_ctrl_c() -> None:
    """A runner started in the background ignores Ctrl-C, and its children would inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def no_report_of_every_run():
    """No run writes its report, which would take longer than most trainings of the tests.

    The fixture `reports` undoes this.
    """
    from regraft.report import run_page

    write_report = run_page.write_report
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_page, "write_report", lambda run, file=None: None)
        yield write_report


@pytest.fixture
def reports(no_report_of_every_run, monkeypatch):
    """Runs write their reports."""
    from regraft.report import run_page

    monkeypatch.setattr(run_page, "write_report", no_report_of_every_run)

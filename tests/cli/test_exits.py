"""How a call ends: one message on standard error and the right exit code."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys

import pytest

from cli.conftest import in_shell
from making import make_photos
from regraft.cli import sample as _sample  # noqa: F401  (the module that is patched below)
from regraft.errors import BackboneError, DecodeError, FindingsError, UnreadableError, several


@pytest.fixture
def failing(regraft, monkeypatch, tmp_path):
    """Let `regraft sample digits OUT` raise the error."""

    def run(error: BaseException, *more: str):
        def write(out):
            raise error

        monkeypatch.setattr("regraft.sample.digits.write_digits", write)
        return regraft("sample", "digits", tmp_path / "out", *more)

    return run


def test_a_mistake_is_one_message_and_exit_code_2(failing):
    said = failing(BackboneError(several("options", ["one", "two"])))
    assert said.code == 2 and said.out == ""
    assert said.one_message() == "options: 2 problems\n  one\n  two"
    assert failing(DecodeError("truncated")).code == 2


def test_something_unexpected_says_how_to_see_more(failing):
    said = failing(ZeroDivisionError("division\nby zero"))
    assert said.code == 1
    assert said.one_message() == (
        "unexpected ZeroDivisionError: division by zero\n  run the command again with --debug for a traceback"
    )


def test_findings_and_unreadable_photos_have_codes_of_their_own(failing):
    assert failing(FindingsError("2 findings")).code == 1
    assert failing(UnreadableError("no photo could be read")).code == 3


def test_json_prints_errors_as_json_too(failing, regraft):
    said = failing(BackboneError("no such network\n  see: regraft backbones"), "--json")
    assert json.loads(said.out) == {
        "error": {
            "type": "BackboneError",
            "message": "no such network\n  see: regraft backbones",
            "exit_code": 2,
        }
    }
    assert said.err == "regraft: no such network\n  see: regraft backbones\n"
    assert json.loads(failing(KeyboardInterrupt(), "--json").out)["error"]["exit_code"] == 130
    for words in (["train", "--json", "--recip", "x"], ["train", "--recipe", "x", "--json"], ["train", "--json"]):
        assert json.loads(regraft(*words).out)["error"]["type"].endswith(("UsageError", "BadParameter", "NoSuchOption"))


def test_json_is_still_one_object_if_the_error_comes_after_it(regraft, tiny, tmp_path):
    photos = make_photos(tmp_path / "photos", {"ash": 6, "birch": 6})
    (photos / "ash" / "cut.png").write_bytes((photos / "ash" / "photo 000.png").read_bytes()[:2000])
    words = [word for name, value in tiny.items() for word in (f"--{name}", value)]
    said = regraft("check", photos, *words, "--json", "--strict", "error")
    assert said.code == 1 and "findings" in json.loads(said.out)
    quiet = regraft("check", photos, *words, "--quiet")
    assert (quiet.code, quiet.out, quiet.err) == (0, "", "")


def test_debug_shows_the_traceback(failing):
    said = failing(ZeroDivisionError("oh"), "--debug")
    assert said.code == 1 and "Traceback" in said.err and "in write" in said.err


def test_what_the_system_refuses_is_said_in_its_words(failing):
    said = failing(OSError(errno.ENOSPC, "No space left on device", "/disk/file"))
    assert (said.code, said.one_message()) == (1, "/disk/file: No space left on device")
    said = failing(PermissionError(errno.EACCES, "Permission denied", "/disk/file"))
    assert (said.code, said.one_message()) == (2, "/disk/file: Permission denied")
    said = failing(MemoryError())
    assert said.code == 1 and "not enough memory" in said.one_message()


def test_ctrl_c_is_130(failing):
    said = failing(KeyboardInterrupt())
    assert said.code == 130 and said.err.endswith("regraft: interrupted\n")
    stop = KeyboardInterrupt()
    stop.add_note("continue with: regraft resume RUN")
    assert failing(stop).err.endswith("regraft: interrupted\n  continue with: regraft resume RUN\n")


def test_control_characters_in_a_message_are_shown_not_obeyed(failing):
    assert "\\x1b[31mred" in failing(BackboneError("no such network: \x1b[31mred")).one_message()


def test_a_wrong_option_says_the_nearest_and_where_help_is(regraft):
    said = regraft("train", "photos", "--recip", "auto", "--epoch", "3")
    assert said.code == 2 and "Did you mean" in said.one_message() and "see: regraft train --help" in said.err
    said = regraft("trian", "photos")
    assert said.code == 2 and "train" in said.one_message()
    said = regraft("train", "photos", "--epochs", "many")
    assert said.code == 2 and "'many' is not a valid integer" in said.one_message()
    said = regraft("train", "photos", "--recipe", "linear")
    assert said.code == 2 and "linear-probe" in said.one_message()


def test_without_arguments_the_first_page_is_shown(regraft):
    said = regraft()
    assert said.code == 0 and said.out.startswith("Usage: regraft") and said.err == ""


def test_a_reader_that_goes_away_is_no_error(tmp_path):
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "regraft", "--help"], stdout=write, stderr=subprocess.PIPE, encoding="utf-8", check=False
    )
    os.close(write)
    assert done.stderr == ""
    assert done.returncode == 141


SLOW = """
import regraft.sample.digits, sys, time
def slow(out):
    print("ready", flush=True)
    while True:
        time.sleep(0.05)  # a signal before signal.pause() would be lost
regraft.sample.digits.write_digits = slow
sys.argv = ["regraft", "sample", "digits", "out"]
from regraft.cli.main import main
main()
"""


@pytest.mark.skipif(os.name == "nt", reason="signals are sent otherwise on Windows")
@pytest.mark.parametrize(("number", "code", "text"), [
    (signal.SIGTERM, 143, "regraft: stopped by SIGTERM\n"),
    (signal.SIGINT, 130, "\nregraft: interrupted\n"),
])  # fmt: skip
def test_signals_end_it_with_a_line_and_their_code(tmp_path, number, code, text):
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW], stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", cwd=tmp_path
    )
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    _, err = process.communicate()
    assert (process.returncode, err) == (code, text)


LAST_WORDS = """
import atexit, sys, threading
from regraft.cli.exits import exit_cleanly
atexit.register(lambda: print("registered"))
threading.Thread(target=lambda: (threading.main_thread().join(), print("thread"))).start()  # returns as the end begins
print("main")
exit_cleanly(7)
"""


def test_threads_and_what_was_registered_are_done_before_the_end():
    done = subprocess.run([sys.executable, "-c", LAST_WORDS], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split(), done.stderr) == (7, ["main", "thread", "registered"], "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no device that is always full")
def test_an_output_that_cannot_be_written_is_no_success():
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-c", LAST_WORDS], stdout=full, check=False)
    assert done.returncode not in (0, 7)


@pytest.mark.parametrize("environment", [
    {"LC_ALL": "C"},
    {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    {"PYTHONIOENCODING": "ascii"},
    {"PYTHONIOENCODING": "latin-1"},
])  # fmt: skip
def test_any_name_can_be_said_in_any_locale(tmp_path, environment):
    done = in_shell("train", "写真 🌷", cwd=tmp_path, encoding="latin-1", **environment)
    assert done.returncode == 2 and "UnicodeEncodeError" not in done.stderr
    assert done.stderr.startswith("regraft: no such folder: ")

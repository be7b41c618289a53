"""docs/serve.md: its examples run against a server: curl, Python, and JavaScript in a browser."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess

import pytest

from doc_pages import blocks_of, text_of
from serve.conftest import client_of, photo, running

PAGE, ADDRESS = "docs/serve.md", re.compile(r"http://(?:127\.0\.0\.1:8000|192\.0\.2\.7:8000)")


def blocks(language):
    return [block.code for block in blocks_of(PAGE) if block.language == language]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with the photos of the examples, which is the current one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "new.jpg").write_bytes(photo(1))
    (tmp_path / "other.jpg").write_bytes(photo(2))
    return tmp_path


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl on this machine")
def test_curl(model_file, place):
    plain, with_token = blocks("sh")
    with running(model_file) as (_, address):
        commands = ADDRESS.sub(address, plain).splitlines()
        assert len(commands) == 3
        answers = [json.loads(output_of(command)) for command in commands]
    assert [len(answer["predictions"]) for answer in answers] == [1, 2, 1]
    assert answers[0]["predictions"][0]["top"] == answers[2]["predictions"][0]["top"]
    with running(model_file, token="correct-horse") as (_, address):
        command = ADDRESS.sub(address, with_token)
        assert json.loads(output_of(command, REGRAFT_SERVE_TOKEN="correct-horse"))["predictions"]
        assert "token" in json.loads(output_of(command, REGRAFT_SERVE_TOKEN="wrong"))["error"]


def output_of(command, **environment):
    more = {**os.environ, **environment, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    return subprocess.run(["sh", "-c", f"{command.strip()} -s"], capture_output=True, check=True, env=more).stdout


def test_python(model_file, place, capsys):
    (code,) = blocks("python")
    with running(model_file) as (_, address):
        exec(compile(ADDRESS.sub(address, code), PAGE, "exec"), {})
    label, probability = capsys.readouterr().out.split()
    assert label in ("ant", "bee", "wasp") and 1 / 3 < float(probability) < 1


@pytest.mark.slow
def test_javascript(model_file, page):
    (code,) = blocks("javascript")
    told = []
    page.on("console", lambda message: told.append(message.text))
    with running(model_file) as (_, address):
        page.goto(address)
        data = base64.b64encode(photo(1)).decode()
        photo_of = f"Uint8Array.from(atob({json.dumps(data)}), c => c.charCodeAt(0))"
        page.evaluate(f"async () => {{ const photo = new Blob([{photo_of}]);\n{ADDRESS.sub(address, code)} }}")
    assert len(told) == 1 and told[0] in ("ant", "bee", "wasp")


def test_the_page_names_every_address_and_every_status(model_file):
    with client_of(model_file) as client:
        description = client.get("/openapi.json").json()
    text = text_of(PAGE)
    assert all(f"`{method.upper()} {path}`" in text for path, one in description["paths"].items() for method in one)
    statuses = set(re.findall(r"^\| (\d{3})(?:, (\d{3}))? \|", text, re.MULTILINE))
    named = {status for pair in statuses for status in pair if status}
    assert named == set(description["paths"]["/predict"]["post"]["responses"]) - {"200"}

"""The guard: only this machine's own pages and programs get in, and others only with the token."""

from __future__ import annotations

import pytest

from monitor.conftest import state_of
from regraft.errors import ServerError
from regraft.monitor.run_monitor import access_for
from regraft.web.guard import COOKIE

TOKEN = "correct horse".replace(" ", "-")
FIGURES = {"epoch": 0, "loss": 1.0}


@pytest.fixture
def local(tmp_path, client_of):
    return client_of(state_of(tmp_path / "runs"))


@pytest.fixture
def public(tmp_path, client_of):
    return client_of(state_of(tmp_path / "runs"), address="http://192.0.2.7:9000", host="0.0.0.0", token=TOKEN)


@pytest.mark.parametrize("host", ["127.0.0.1:9000", "localhost:9000", "LOCALHOST", "[::1]:9000", "127.8.9.1"])
def test_addresses_of_this_machine_are_its_own(local, host):
    assert local.get("/", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "192.0.2.7", "localhost.evil", "a@127.0.0.2x", "[::1", "", ":9000"],
)
def test_other_hosts_are_refused(local, host):
    answer = local.get("/", headers={"host": host})
    assert answer.status_code == 403 and "host name" in answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:8000"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"},
    ],
)
def test_other_web_pages_cannot_post(tmp_path, local, headers):
    answer = local.post("/publish/epoch/end/", json=FIGURES, headers=headers)
    assert answer.status_code == 403 and not (tmp_path / "runs").exists()


def test_other_web_pages_may_link_to_the_page_but_not_read_its_stream(local):
    foreign = {"sec-fetch-site": "cross-site"}
    assert local.get("/", headers={**foreign, "sec-fetch-mode": "navigate"}).status_code == 200
    assert local.get("/events", headers={**foreign, "sec-fetch-mode": "cors"}).status_code == 403
    assert (
        local.get("/", headers={"origin": "http://127.0.0.1:9000", "sec-fetch-site": "same-origin"}).status_code == 200
    )


def test_a_token_in_the_address_becomes_a_cookie(public):
    assert public.get("/").status_code == 401
    assert public.get("/?token=wrong").status_code == 401
    answer = public.get(f"/?token={TOKEN}")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert "HttpOnly" in answer.headers["set-cookie"] and "SameSite=Strict" in answer.headers["set-cookie"]
    assert TOKEN not in answer.headers["set-cookie"]
    assert public.get("/").status_code == 200  # the client has the cookie now
    public.cookies.clear()
    assert public.get("/", headers={"cookie": f"{COOKIE}=wrong"}).status_code == 401


@pytest.mark.parametrize("header", ["Authorization", "X-Token", "anything"])
def test_a_sender_has_the_token_in_any_header(public, header):
    assert public.post("/", json=FIGURES, headers={header: TOKEN}).status_code == 200
    assert public.post("/", json=FIGURES, headers={header: TOKEN + "x"}).status_code == 401
    for scheme in ("Bearer", "bearer"):  # its case does not matter, RFC 9110 11.1
        assert public.post("/", json=FIGURES, headers={"Authorization": f"{scheme} {TOKEN}"}).status_code == 200


def test_a_public_server_answers_to_addresses_and_not_to_foreign_names(public):
    headers = {"authorization": TOKEN}
    assert public.get("/", headers={**headers, "host": "198.51.100.3:9000"}).status_code == 200
    assert public.get("/", headers={**headers, "host": "evil.example"}).status_code == 403


def test_every_answer_has_the_headers_that_protect_a_browser(local):
    for answer in (local.get("/"), local.get("/missing"), local.get("/", headers={"host": "evil"})):
        assert answer.headers["x-content-type-options"] == "nosniff" and answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-frame-options"] == "SAMEORIGIN" and answer.headers["referrer-policy"] == "no-referrer"


def test_limits_of_body_and_rate(tmp_path, client_of):
    client = client_of(state_of(tmp_path / "runs"), body=100, posts_per_second=2)
    large = client.post("/", content=b"{" + b" " * 100)
    assert large.status_code == 413 and "at most 100 bytes" in large.text
    chunks = client.post("/", content=iter([b"{" + b" " * 60, b" " * 60]))
    assert chunks.status_code == 413
    answers = [client.post("/", json=FIGURES) for _ in range(5)]
    assert {answer.status_code for answer in answers} == {200, 429}
    assert answers[-1].headers["retry-after"] == "1" and client.get("/").status_code == 200


def test_only_a_server_for_this_machine_goes_without_a_token():
    assert (
        access_for("127.0.0.1", None).token
        is access_for("::1", None).token
        is access_for("localhost", None).token
        is None
    )
    tokens = {access_for(host, None).token for host in ("0.0.0.0", "192.0.2.7", "::", "my-machine")}
    assert len(tokens) == 4 and all(len(token) == 32 for token in tokens)
    with pytest.raises(ServerError, match="--token: expected at least 8 ASCII characters without spaces"):
        access_for("127.0.0.1", "short")


def test_a_failure_is_an_answer_and_one_line_without_a_traceback(tmp_path, client_of, monkeypatch, capsys):
    state = state_of(tmp_path / "runs")
    monkeypatch.setattr(state.remote, "keep", lambda *figures: 1 / 0)
    answer = client_of(state).post("/", json=FIGURES)
    assert answer.status_code == 500 and "division" not in answer.text
    assert capsys.readouterr().err == "regraft: a request failed: ZeroDivisionError: division by zero\n"

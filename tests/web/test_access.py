"""The rules of a server: tokens, names, and refusals as text or as JSON."""

from __future__ import annotations

import pytest

from regraft.errors import ServerError
from regraft.web.access import Access, checked_names, checked_token
from regraft.web.short_answers import short_answer


def test_only_a_server_on_loopback_needs_no_token():
    for host in ("127.0.0.1", "127.8.8.8", "::1", "localhost"):
        assert checked_token(host, None) is None
    for host in ("0.0.0.0", "192.0.2.7", "::", "camera.example.org"):
        first, second = checked_token(host, None), checked_token(host, None)
        assert first != second and len(first) >= 32
    assert checked_token("0.0.0.0", "correct-horse") == "correct-horse"
    for token in ("short", "with a space", "ümläute-und-mehr", ""):
        with pytest.raises(ServerError, match="--token: expected at least 8 ASCII characters without spaces"):
            checked_token("127.0.0.1", token)


def test_a_token_is_in_no_text_about_the_rules():
    assert "correct-horse" not in repr(Access(token="correct-horse"))


def test_further_names_are_host_names():
    assert checked_names(["Photos.Example.org", "camera-1."]) == ("photos.example.org", "camera-1")
    for name in ("http://photos.example.org", "a/b", "", "ü.example", "*"):
        with pytest.raises(ServerError, match=r"--name: expected a host name such as photos\.example\.org, found"):
            checked_names([name])
    access = Access(names=("photos.example.org",))
    assert access.is_own("photos.example.org") and access.is_own("Photos.example.org:443")
    assert access.is_own("127.0.0.1:8000") and not access.is_own("evil.photos.example.org")


def test_a_refusal_is_one_line():
    assert short_answer("no", as_json=False) == (b"text/plain; charset=utf-8", b"no\n")
    assert short_answer('a "b"\n', as_json=True) == (b"application/json", b'{"error": "a \\"b\\"\\n"}\n')

"""Parts of the builder of the site that need no generator: languages, versions, files."""

from __future__ import annotations

import json

import pytest
import yaml

import build_site
from build_site import alternate, configure, list_version, numbers, twins, write_sources
from site_pages import Site


@pytest.fixture
def two_languages(monkeypatch):
    """An English site of three pages, two of which are translated."""
    sites = {
        "en": Site(
            {"docs/index.md": "index.md", "docs/tutorial/install.md": "tutorial/install.md", "docs/cli.md": "cli.md"}
        ),
        "zh_TW": Site({"docs/zh_TW/index.md": "index.md", "docs/zh_TW/tutorial/install.md": "tutorial/install.md"}),
    }
    monkeypatch.setattr(build_site, "languages", lambda: sites)
    return sites


def test_pages_in_both_languages_are_twins(two_languages):
    assert twins() == ["", "tutorial/install/"]
    assert [one["link"] for one in alternate(english=True)] == ["./", "zh_TW/"]
    assert [one["link"] for one in alternate(english=False)] == ["../", "./"]


@pytest.mark.parametrize(("language", "theme"), [("en", "en"), ("zh_TW", "zh-TW")])
def test_the_configuration_of_a_language(two_languages, language, theme):
    own = yaml.safe_load(configure(language, two_languages[language], "1.2.3", several=False))
    assert own["site_name"] == "regraft 1.2.3"
    assert own["theme"]["language"] == theme
    assert "version" not in own["extra"]
    assert [entry["lang"] for entry in own["extra"]["alternate"]] == ["en", "zh-TW"]
    assert len(own["nav"]) == (3 if language == "en" else 2)


def test_a_choice_of_versions_only_where_several_are_published(two_languages):
    own = yaml.safe_load(configure("en", two_languages["en"], "1.2.3", several=True))
    assert own["extra"]["version"] == {"provider": "mike"}


def test_versions_are_listed_with_the_newest_first(tmp_path):
    for version in ("0.1.0", "0.10.0", "0.2.0"):
        list_version(tmp_path, version)
    listed = json.loads((tmp_path / "versions.json").read_text())
    assert [entry["version"] for entry in listed] == ["0.10.0", "0.2.0", "0.1.0"]
    assert [entry["aliases"] for entry in listed] == [["latest"], [], []]
    assert "url=0.10.0/" in (tmp_path / "index.html").read_text()
    assert numbers("1.2.10") == [1, 2, 10]


def test_sources_have_pages_code_pictures_and_style(tmp_path):
    write_sources(tmp_path, "en", build_site.languages()["en"])
    names = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    expected = {"index.md", "project/changelog.md", "reference/regraft.md", "source/examples/transfer_learning.py.md"}
    assert expected | {"images/report.png", "assets/site.css", "assets/site.js"} <= names
    assert not [name for name in names if name.startswith("zh_TW")]
    assert (tmp_path / "migrate" / "keras.md").read_text(encoding="utf-8").startswith("---\nhide: [toc]\n---\n")

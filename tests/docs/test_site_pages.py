"""Pages of the site have links that work there."""

from __future__ import annotations

import pytest

import site_pages
from site_pages import Site, code_page, markdown, outside_code


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository with an English page, its Chinese twin, a picture and a file of code."""
    for name, text in {
        "docs/index.md": "[home](zh_TW/index.md) [page](zh_TW/how/a.md)",
        "docs/photos.md": "# Photos\n\n[code](../src/a.py) [map](../CONTRIBUTING.md#set-up) [web](https://a.org)\n",
        "docs/how/a.md": "[up](../photos.md) [self](#x) ![p](../images/p.png)\n\n```text\n[not](a-link.md)\n```\n",
        "docs/zh_TW/index.md": "[照片](../photos.md) [安裝](install.md) ![p](../images/p.png)\n",
        "docs/zh_TW/how/a.md": "[首頁](../index.md) [photos](../../photos.md#formats) [home](../../index.md)\n",
        "docs/zh_TW/install.md": "install",
        "docs/images/p.png": "png",
        "CONTRIBUTING.md": "[docs](docs/photos.md) [folder](benchmarks) [photos.md](docs/photos.md#x)",
        "CHANGELOG.md": "",
        "benchmarks/README.md": "",
        "README.md": "",
        "src/a.py": "pass\n",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    monkeypatch.setattr(site_pages, "ROOT", tmp_path)
    return tmp_path


def test_links_of_the_english_site(repository):
    site = site_pages.english_site()
    page = markdown(site, "docs/photos.md")
    assert "[code](source/src/a.py.md) [map](project/contributing.md#set-up) [web](https://a.org)" in page
    assert site.code == {"src/a.py": "source/src/a.py.md"}
    assert markdown(site, "docs/index.md") == "[home](zh_TW/) [page](zh_TW/how/a/)"
    page = markdown(site, "docs/how/a.md")
    assert page.startswith("[up](../photos.md) [self](#x) ![p](../images/p.png)")
    assert "[not](a-link.md)" in page
    assert (
        markdown(site, "CONTRIBUTING.md")
        == "[docs](../photos.md) [folder](benchmark-scripts.md) [Photos](../photos.md#x)"
    )


def test_links_of_the_chinese_site(repository):
    site = site_pages.chinese_site()
    assert markdown(site, "docs/zh_TW/index.md") == "[照片](../photos/) [安裝](install.md) ![p](../images/p.png)\n"
    page = "[首頁](../index.md) [photos](../../photos/#formats) [home](../../)\n"
    assert markdown(site, "docs/zh_TW/how/a.md") == page


def test_without_a_chinese_home_page_there_is_no_chinese_site(repository):
    (repository / "docs/zh_TW/index.md").unlink()
    assert site_pages.chinese_site() is None
    (repository / "README.zh-TW.md").write_text("readme", encoding="utf-8")
    assert site_pages.chinese_site().pages["README.zh-TW.md"] == "index.md"


def test_a_link_to_nothing_is_an_error(repository):
    (repository / "docs/photos.md").write_text("[x](missing.md)", encoding="utf-8")
    with pytest.raises(FileNotFoundError, match=r"docs/photos\.md: the link to missing\.md leads to no file"):
        markdown(Site({"docs/photos.md": "photos.md"}), "docs/photos.md")


def test_code_is_left_alone(repository):
    assert outside_code("- a\n\n  ```text\n  b\n  ```\n", str.upper) == "- A\n\n    ```text\n    b\n    ```\n"
    text = "a\n```text\nb\n```\nc\n````python\n```\nd\n````\ne"
    assert outside_code(text, str.upper) == "A\n```text\nb\n```\nC\n````python\n```\nd\n````\nE"
    assert code_page("src/a.py") == "# src/a.py\n\n````python\npass\n````\n"

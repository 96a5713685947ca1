"""The documentation as a site: it builds without warning or network, and needs nothing from another host."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.answers import CHOICES, QUESTIONS
from tests.isolation import isolated
from tests.projects import ROOT, SOURCES, copy_template

LOADED = re.compile(r"<(?:script|img|iframe|source)[^>]*\ssrc=\"?([^\s\">]+)|<link[^>]*\shref=\"?([^\s\">]+)")
REGISTRIES = ("unpkg.com", "jsdelivr.net", "cdnjs.cloudflare.com", "fonts.googleapis.com", "pypi.org", "npmjs")


def build(folder: Path, site: Path) -> subprocess.CompletedProcess[str]:
    command = [str(ROOT / ".docs/bin/mkdocs"), "build", "--strict", "--site-dir", str(site)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(isolated(*command), cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    result = build(ROOT, folder)
    assert result.returncode == 0, result.stdout + result.stderr
    return folder


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return copy_template(tmp_path / "template")


def test_every_page_is_part_of_the_site(site: Path) -> None:
    pages = {path.relative_to(ROOT / "docs").with_suffix(".html") for path in (ROOT / "docs").rglob("*.md")}
    built = {path.relative_to(site) for path in site.rglob("*.html")}
    added = {Path(f"contributor/{name}.html") for name in ("contributing", "changelog", "security")}
    assert built == pages | added | {Path("404.html")}


def test_no_page_loads_anything_from_another_host(site: Path) -> None:
    for page in site.rglob("*.html"):
        loaded = [src or href for src, href in LOADED.findall(page.read_text(encoding="utf-8"))]
        assert loaded
        assert [name for name in loaded if re.match(r"(https?:)?//", name)] == []


def test_the_theme_s_files_name_no_registry(site: Path) -> None:
    files = [path for path in site.joinpath("assets").rglob("*") if path.suffix in (".js", ".css", ".map")]
    assert files
    for path in files:
        text = path.read_text(encoding="utf-8")
        assert [name for name in REGISTRIES if name in text] == [], path


def test_every_question_choice_and_rejected_combination_is_on_the_page(site: Path) -> None:
    page = site.joinpath("reference/questions.html").read_text(encoding="utf-8")
    text = re.sub(r"<[^>]+>", "", page).replace("&lt;", "<").replace("&gt;", ">")
    for name in QUESTIONS["__prompts__"]:
        assert f'id="{name}"' in page or f"id={name}" in page
    for name, choices in CHOICES.items():
        for choice in choices:
            assert QUESTIONS["__prompts__"][name][choice].removeprefix(f"{choice}: ").replace("`", "") in text
    for rule in (*QUESTIONS["_rules"].values(), *QUESTIONS["_refused"]):
        assert rule["why"] in text
        assert rule["remedy"] in text


def test_the_verbs_whose_json_builds_read_are_marked_so(site: Path) -> None:
    page = site.joinpath("reference/public-api.html").read_text(encoding="utf-8")
    marked = set(re.findall(r"<tr>\s*<td><code>(\w+)</code></td>\s*<td>[^\n]*</td>\s*<td>yes</td>", page))
    builds = [path.read_text(encoding="utf-8") for path in SOURCES.glob("buildspecs/*.yml")]
    read = {verb for text in builds for verb in re.findall(r"mlops (\w+) .*--json", text)}
    assert read
    assert read <= marked


@pytest.mark.parametrize("link", ["no-such-page.md", "../no/such/file.py", "index.md#no-such-heading"])
def test_a_link_that_leads_nowhere_fails_the_build(copy: Path, tmp_path: Path, link: str) -> None:
    with (copy / "docs/index.md").open("a", encoding="utf-8") as page:
        page.write(f"\n[here]({link})\n")
    result = build(copy, tmp_path / "out")
    assert result.returncode != 0
    assert link.partition("#")[2] or Path(link).name in result.stdout + result.stderr


def test_links_of_the_readme_and_its_neighbours_lead_to_files() -> None:
    for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        links = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", text)
        gone = [link for link in links if not (ROOT / link.replace("%3C", "<").replace("%3E", ">")).exists()]
        assert gone == [], name

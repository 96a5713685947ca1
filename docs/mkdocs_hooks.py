"""What mkdocs cannot do by itself: pages that stand elsewhere or are generated, and links out of the site.

Pages are written for the repository's own viewer too, so their links are relative paths in the repository.
"""

import posixpath
import re
import sys
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

sys.path.insert(0, str(Path(__file__).parent))
import public_api
import questions

ROOT = Path(__file__).parent.parent
DOCS = "docs"
AT_ROOT = {
    "contributor/contributing.md": "CONTRIBUTING.md",
    "contributor/changelog.md": "CHANGELOG.md",
    "contributor/security.md": "SECURITY.md",
}
"""Pages of the site that stand in the root of the repository, where its viewer looks for them."""
GENERATED = {
    "<!-- questions -->": questions.page,
    "<!-- context -->": public_api.context,
    "<!-- verbs -->": public_api.verbs,
}
"""What stands on the site in the place of a mark."""

_LINK = re.compile(r"(?<=\]\()(?!#|[a-z]+:)([^)#\s]+)(#[^)\s]*)?(?=\))")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that stand in the root of the repository."""
    for page, name in AT_ROOT.items():
        files.append(File.generated(config, page, content=(ROOT / name).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Fill in what is generated, and make links of the repository links of the site."""
    name = page.file.src_uri
    for mark, made in GENERATED.items():
        if mark in markdown:
            markdown = markdown.replace(mark, made())
    source = AT_ROOT.get(name, f"{DOCS}/{name}")
    return _LINK.sub(lambda link: _target(source, name, link[1], config) + (link[2] or ""), markdown)


def _target(source: str, page: str, link: str, config: MkDocsConfig) -> str:
    """Where a link leads on the site: to another page, or to the file in the repository.

    Args:
        source: The file that holds the link, relative to the repository.
        page: Its page of the site, relative to the site.
        link: The link, relative to `source`.
        config: The site's configuration.

    Raises:
        PluginError: The repository has no such file.
    """
    path = posixpath.normpath(posixpath.join(posixpath.dirname(source), link.replace("%3C", "<").replace("%3E", ">")))
    if not (ROOT / path).exists():
        raise PluginError(f"{source}: there is no {path}, to which it links")
    for known, name in AT_ROOT.items():
        if path == name:
            return posixpath.relpath(known, posixpath.dirname(page) or ".")
    if path.startswith(f"{DOCS}/") and path.endswith(".md"):
        return posixpath.relpath(path.removeprefix(f"{DOCS}/"), posixpath.dirname(page) or ".")
    quoted = path.replace("<", "%3C").replace(">", "%3E")
    return f"{config.extra['repository']}/blob/HEAD/{quoted}"


def on_post_build(config: MkDocsConfig) -> None:
    """Take out of the theme's script where it would load further scripts from, and the map of its sources."""
    for script in Path(config.site_dir, "assets/javascripts").rglob("*.js"):
        text = script.read_text(encoding="utf-8")
        script.write_text(re.sub(r"https://unpkg\.com/[^\"'`]*", "", text), encoding="utf-8")
    for sources in Path(config.site_dir, "assets").rglob("*.map"):
        sources.unlink()

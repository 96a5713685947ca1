"""mkdocs hooks: pages from the root of the repository, generated tables, and links out of the site.

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
"""Pages of the site whose sources are in the root of the repository, where its viewer expects them."""
GENERATED = {
    "<!-- questions -->": questions.page,
    "<!-- context -->": public_api.context,
    "<!-- verbs -->": public_api.verbs,
}
"""What replaces a mark on the site."""

_LINK = re.compile(r"(?<=\]\()(?!#|[a-z]+:)([^)#\s]+)(#[^)\s]*)?(?=\))")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages from the root of the repository."""
    for page, name in AT_ROOT.items():
        files.append(File.generated(config, page, content=(ROOT / name).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Insert the generated tables, and turn links of the repository into links of the site."""
    name = page.file.src_uri
    for mark, made in GENERATED.items():
        if mark in markdown:
            markdown = markdown.replace(mark, made())
    source = AT_ROOT.get(name, f"{DOCS}/{name}")
    return _LINK.sub(lambda link: _target(source, name, link[1], config) + (link[2] or ""), markdown)


def _target(source: str, page: str, link: str, config: MkDocsConfig) -> str:
    """Return the target of a link on the site: another page, or a file in the repository.

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
    """Remove the addresses from which the theme's script would load further scripts, and its source maps."""
    for script in Path(config.site_dir, "assets/javascripts").rglob("*.js"):
        text = script.read_text(encoding="utf-8")
        script.write_text(re.sub(r"https://unpkg\.com/[^\"'`]*", "", text), encoding="utf-8")
    for sources in Path(config.site_dir, "assets").rglob("*.map"):
        sources.unlink()

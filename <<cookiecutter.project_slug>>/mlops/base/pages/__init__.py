"""Pages for people: single HTML files without scripts or outside resources, from the templates beside this module."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemBytecodeCache, FileSystemLoader, StrictUndefined, select_autoescape


def page(name: str, cache: Path, **content: Any) -> str:
    """Fill in the template of a page.

    Args:
        name: The name of the template, without its endings.
        cache: The folder that compiled templates are kept in.
        content: The variables of the template, among them `project_name`.

    Raises:
        jinja2.TemplateError: The content is not what the template asks for.
    """
    cache.mkdir(parents=True, exist_ok=True)
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=select_autoescape(["html.jinja"]),
        undefined=StrictUndefined,
        bytecode_cache=FileSystemBytecodeCache(str(cache)),
    )
    return environment.get_template(f"{name}.html.jinja").render(content)

"""HTML reports: single files without scripts or external resources, rendered from the templates in this folder."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemBytecodeCache, FileSystemLoader, StrictUndefined, select_autoescape


def page(name: str, cache: Path, **content: Any) -> str:
    """Render the template of a page.

    Args:
        name: The name of the template, without suffixes.
        cache: The folder for compiled templates.
        content: The variables of the template, including `project_name`.

    Raises:
        jinja2.TemplateError: A variable of the template is missing.
    """
    cache.mkdir(parents=True, exist_ok=True)
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=select_autoescape(["html.jinja"]),
        undefined=StrictUndefined,
        bytecode_cache=FileSystemBytecodeCache(str(cache)),
    )
    return environment.get_template(f"{name}.html.jinja").render(content)

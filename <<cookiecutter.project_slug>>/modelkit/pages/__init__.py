"""HTML reports: single files without scripts or external resources, rendered from the templates in this folder."""

from pathlib import Path
from typing import Any

from modelkit.terminal import clean


def page(name: str, **content: Any) -> str:
    """Render the template of a page.

    Args:
        name: The name of the template, without suffixes.
        content: The variables of the template, including `project_name`.

    Raises:
        jinja2.TemplateError: A variable of the template is missing.
    """
    # Only reports need jinja2: the other modules run in environments without it.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=select_autoescape(["html.jinja"]),
        undefined=StrictUndefined,
        finalize=_shown,
    )
    return environment.get_template(f"{name}.html.jinja").render(content)


def _shown(value: Any) -> Any:
    """Clean a value before it is escaped; what a template made of it is a `Markup`, which stays one."""
    return type(value)(clean(value)) if isinstance(value, str) else value

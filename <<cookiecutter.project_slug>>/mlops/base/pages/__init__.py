"""Pages for people: single HTML files without scripts or outside resources, from the templates beside this module."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemBytecodeCache, FileSystemLoader, StrictUndefined, select_autoescape

from mlops.project.project import Project


def page(project: Project, name: str, **content: Any) -> str:
    """Fill in the template of a page.

    Args:
        project: The project; its name is on every page.
        name: The template's name, without its endings.
        content: What the template asks for.

    Raises:
        jinja2.TemplateError: The content is not what the template asks for.
    """
    cache = project.state / "cache" / "pages"
    cache.mkdir(parents=True, exist_ok=True)
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=select_autoescape(["html.jinja"]),
        undefined=StrictUndefined,
        bytecode_cache=FileSystemBytecodeCache(str(cache)),
    )
    return environment.get_template(f"{name}.html.jinja").render(content, project_name=project.answer("project_name"))

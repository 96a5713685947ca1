"""Carries out a Dockerfile of a few instructions without Docker: into a folder that stands for the image's root."""

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

ALLOWED = ("FROM", "ARG", "COPY", "ENV", "USER", "ENTRYPOINT", "RUN")


class NotAllowedError(ValueError):
    """The Dockerfile says what this does not carry out."""


@dataclass
class Image:
    """What a Dockerfile comes to.

    Attributes:
        root: The folder that stands for `/`.
        base: The image it starts from.
        environment: The variables that it sets.
        user: Who its processes run as.
        entrypoint: The command that it runs.
        commands: What its one RUN consists of; it is for the test to say what they come to.
    """

    root: Path
    base: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    user: str = "root"
    entrypoint: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)


def build(context: Path, dockerfile: Path, root: Path, **arguments: str) -> Image:
    """Carry out a Dockerfile.

    Args:
        context: The folder that it copies from.
        dockerfile: The file; what is not sent to Docker stands in the file of its name and `.dockerignore`.
        root: The folder to build in.
        arguments: Those of `--build-arg`.

    Raises:
        NotAllowedError: An instruction, or a form of one, is not among the few.
    """
    ignored = dockerfile.with_name(f"{dockerfile.name}.dockerignore").read_text(encoding="utf-8").splitlines()
    sent = sorted(_sent(context, [line for line in ignored if line and not line.startswith("#")]))
    image, known = Image(root), dict[str, str]()
    for word, rest in _instructions(dockerfile.read_text(encoding="utf-8")):
        if word not in ALLOWED or rest.startswith("--") or (word == "RUN" and image.commands):
            raise NotAllowedError(f"{word} {rest}")
        if word == "FROM":
            image.base, known = _filled(rest, known), {}
        elif word == "ARG":
            name, _, default = rest.partition("=")
            known[name] = arguments.get(name, default.strip('"'))
        elif word == "COPY":
            source, target = rest.split()
            _copy(context, sent, source, root / target.lstrip("/"))
        elif word == "ENV":
            image.environment |= dict(pair.split("=", 1) for pair in rest.split())
        elif word == "USER":
            image.user = rest
        elif word == "ENTRYPOINT":
            image.entrypoint = json.loads(rest)
        else:
            image.commands = [_filled(command.strip(), known) for command in rest.split("&&")]
    return image


def _instructions(text: str) -> Iterator[tuple[str, str]]:
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        word, _, rest = line.partition(" ")
        yield word.upper(), rest.strip()


def _filled(text: str, known: Mapping[str, str]) -> str:
    return re.sub(r"\$\{(\w+)\}", lambda found: known[found[1]], text)


def _sent(context: Path, patterns: list[str]) -> Iterator[PurePosixPath]:
    """The files that Docker is sent; the last pattern that a file or a folder above it matches decides."""
    for file in filter(Path.is_file, context.rglob("*")):
        path = PurePosixPath(file.relative_to(context))
        parts = [path, *path.parents[:-1]]
        matching = [pattern for pattern in patterns if any(_matches(part, pattern.lstrip("!")) for part in parts)]
        if not matching or matching[-1].startswith("!"):
            yield path


def _matches(path: PurePosixPath, pattern: str) -> bool:
    wanted = PurePosixPath(pattern).parts
    if "**" in wanted:
        raise NotAllowedError(f"{pattern} in .dockerignore")
    return len(path.parts) == len(wanted) and all(map(fnmatch, path.parts, wanted))


def _copy(context: Path, sent: list[PurePosixPath], source: str, target: Path) -> None:
    found = [path for path in sent if path.is_relative_to(source)]
    if not found:
        raise FileNotFoundError(f"COPY {source}: Docker is sent nothing of that name")
    for path in found:
        place = target / path.relative_to(source) if path != PurePosixPath(source) else target
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(context / path, place)

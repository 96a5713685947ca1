"""Converts the configuration of release 0.4.0, in which each environment's file contained every value.

The owner's values and comments move into the files that this release generates. Those keep their own text otherwise, so
that later releases can change it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from mlops.base.environments import ALL
from mlops.base.errors import MlopsError, UsageError
from mlops.project.configuration import BASE, KEYS, STACKS, Readers, file_of, merged, shown
from mlops.project.stacks import TABLE
from mlops.project.yaml_file import parse_yaml

Keys = tuple[str, ...]
"""The path to a value: `("training", "instance_type")`."""

_BASE = BASE.stem
_BEFORE = "in the project as it was before the upgrade, and start the upgrade again. Nothing was changed."
_AS_A_LINE = f"Write it as `key: value` {_BEFORE}"
_STACK_NAMES = {stack.name for stack in TABLE} - KEYS.keys()
"""The sections of 0.4.0 that are stacks; `retraining` was none."""


@dataclass(frozen=True)
class Conversion:
    """The converted files.

    Attributes:
        texts: The text of each file, by name: base, local, ...
        placed: The dotted keys that were changed in each file, by name.
    """

    texts: Mapping[str, str]
    placed: Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class _Entry:
    """A key with its value.

    Attributes:
        value: The value.
        lines: Their lines, without the indentation of the key.
        trailing: The comment behind the value, if it is on one line.
        comments: The comment lines above, without indentation.
    """

    value: Any
    lines: tuple[str, ...]
    trailing: str = ""
    comments: tuple[str, ...] = ()

    @property
    def commented(self) -> bool:
        """Whether it has comments; a `#` in a string counts, too."""
        return bool(self.comments or self.trailing or (len(self.lines) > 1 and "#" in "".join(self.lines)))


def convert(
    old: Mapping[str, str], generated: Mapping[str, str], new: Mapping[str, str], readers: Readers
) -> Conversion:
    """Move the values and comments of old files into new files.

    Args:
        old: The owner's files of release 0.4.0, by environment.
        generated: The files as that release generated them; other comments are the owner's.
        new: The files as this release generated them, by name, including `base`.
        readers: Which environments read which keys.

    Raises:
        UsageError: A file cannot be read, or a value has no place; the message names all of these.
    """
    known = {line.strip() for text in generated.values() for line in text.splitlines()}
    entries = {name: _entries_of_release(text, file_of(name)) for name, text in sorted(old.items(), key=_position)}
    settings = {name: dict(_leaves(parse_yaml(text, file_of(name)))) for name, text in new.items()}
    texts = dict(new)
    placed: dict[str, list[str]] = {name: [] for name in new}
    homeless = []

    def put(name: str, keys: Keys, entry: _Entry) -> None:
        own = replace(entry, comments=tuple(line for line in entry.comments if line not in known))
        if keys in settings[name] and _same(own, settings[name][keys]) and not own.commented:
            return
        before, texts[name] = texts[name], _with(texts[name], keys, own)
        settings[name][keys] = own.value
        if texts[name] != before:
            placed[name].append(".".join(keys))

    for keys in dict.fromkeys(keys for of_file in entries.values() for keys in of_file):
        having = {name: of_file[keys] for name, of_file in entries.items() if keys in of_file}
        reading = {name: entry for name, entry in having.items() if _reads(readers, name, keys)}
        for name, entry in having.items():
            if name not in reading and not _all_same([entry, *reading.values()] if reading else []):
                homeless.append(f"`{'.'.join(keys)}: {shown(entry.value)}` in {file_of(name)}")
        absent = _Entry(None, (f"{keys[-1]}: null",))
        if keys[0] == STACKS:  # a missing parameter is set to null: it has the default of its template
            reading |= {name: absent for name in entries if name not in having and _reads(readers, name, keys)}
        free = {name: entry for name, entry in reading.items() if keys not in settings[name]}
        shared = _shared(list(free.values()), keys, settings[_BASE])
        for name, entry in reading.items():
            if name in free and shared and _same(entry, shared.value):
                put(_BASE, keys, entry)
            elif name not in free or shared or entry is not absent:
                put(name, keys, entry)
    if homeless:
        raise UsageError(
            "\n  ".join(
                ["These settings have no effect in their file, and no other file has the same value:", *homeless]
            ),
            f"Correct or remove them {_BEFORE}",
        )
    _require_whole(entries, texts, readers)
    return Conversion(texts, placed)


def _shared(free: Sequence[_Entry], keys: Keys, base: Mapping[Keys, Any]) -> _Entry | None:
    """Return the entry for the base file, or None: one of those whose environments have no line of their own."""
    if not free or (keys not in base and (len(free) == 1 or not _all_same(free))):
        return None
    # If they differ: the existing value, else the one nearest to production.
    return next((entry for entry in free if keys in base and _same(entry, base[keys])), free[-1])


def _require_whole(entries: Mapping[str, Mapping[Keys, _Entry]], texts: Mapping[str, str], readers: Readers) -> None:
    """Reject files in which an environment would have other values than before."""
    settings = {name: parse_yaml(text, file_of(name)) for name, text in texts.items()}
    for name, content in settings.items():
        readers.check(file_of(name), content)
    for name, before in entries.items():
        after = dict(_leaves(merged(settings[_BASE], settings[name])))
        for keys, entry in before.items():
            if _reads(readers, name, keys) and not _same(entry, after.get(keys)):
                file = file_of(name)
                raise MlopsError(f"{file} sets {'.'.join(keys)} in a way that cannot be converted.", _AS_A_LINE)


def _reads(readers: Readers, environment: str, keys: Keys) -> bool:
    return readers.reads(environment, keys[0]) and (keys[0] != STACKS or keys[1] in readers.deploys(environment))


def _position(file: tuple[str, str]) -> int:
    return ALL.index(file[0]) if file[0] in ALL else -1


def _same(entry: _Entry, value: Any) -> bool:
    return repr(entry.value) == repr(value)  # 1 is not 1.0 here, nor true


def _all_same(entries: Sequence[_Entry]) -> bool:
    return bool(entries) and all(_same(entry, entries[0].value) for entry in entries)


def _leaves(settings: Mapping[str, Any], parents: Keys = ()) -> Iterator[tuple[Keys, Any]]:
    for key, value in settings.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, (*parents, str(key)))
        else:
            yield (*parents, str(key)), value


@dataclass(frozen=True)
class _Place:
    """Where a file has a key: lines and columns count from 0, and `last` is the last line of its value."""

    first: int
    last: int
    column: int
    section: bool
    flow: bool
    """Whether it is inside braces."""
    text: str
    """The text of the value."""
    end: yaml.Mark


def _places(text: str) -> dict[Keys, _Place]:
    """Return every key of a file, sections included, in the order of the file."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    return dict(_below(text, root, ())) if isinstance(root, yaml.MappingNode) else {}


def _below(text: str, node: yaml.MappingNode, parents: Keys) -> Iterator[tuple[Keys, _Place]]:
    for key, value in node.value:
        keys, start, end = (*parents, str(key.value)), key.start_mark, _end(value)
        section = isinstance(value, yaml.MappingNode) and bool(value.value)
        written = text[value.start_mark.index : value.end_mark.index]
        yield keys, _Place(start.line, _last_line(value), start.column, section, bool(node.flow_style), written, end)
        if section:
            yield from _below(text, value, keys)


def _end(node: yaml.Node) -> yaml.Mark:
    """Return the end of the text of a value; the end mark of a block is at the beginning of the next token."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(last[1] if isinstance(last, tuple) else last)
    return node.end_mark


def _last_line(node: yaml.Node) -> int:
    end = _end(node)
    literal = isinstance(node, yaml.ScalarNode) and node.style in ("|", ">")
    return end.line - 1 if literal else end.line


def _entries_of_release(text: str, path: Path) -> dict[Keys, _Entry]:
    """Return the values of a file of release 0.4.0, with settings of stacks at their new place."""
    values = dict(_leaves(parse_yaml(text, path)))
    lines, places = text.splitlines(), _places(text)
    if strange := [".".join(keys) for keys in values if keys not in places]:
        raise UsageError(f"{path} sets {', '.join(strange)} in a way that cannot be converted.", _AS_A_LINE)
    entries: dict[Keys, _Entry] = {}
    after = 0
    for keys, place in places.items():
        if keys not in values or (values[keys] is None and _is_section(keys)):
            continue
        above = [line.strip() for line in lines[after : place.first] if line.strip().startswith("#")]
        after = max(after, place.last + 1)
        written, trailing = [f"{keys[-1]}: {place.text}"], ""
        if not place.flow:
            written = [_dedented(line, place.column) for line in lines[place.first : place.last + 1]]
            trailing = lines[place.last][place.end.column :].strip() if place.first == place.last else ""
        moved = (STACKS, *keys) if keys[0] in _STACK_NAMES else keys
        entries[moved] = _Entry(values[keys], tuple(written), trailing, tuple(above))
    rest = tuple(line.strip() for line in lines[after:] if line.strip().startswith("#"))
    if entries and rest:
        last = next(reversed(entries))
        entries[last] = replace(entries[last], comments=(*entries[last].comments, *rest))
    return entries


def _is_section(keys: Keys) -> bool:
    """Return whether a key without a value is an empty section."""
    return len(keys) == 1 and (keys[0] in _STACK_NAMES or (keys[0] in KEYS and KEYS[keys[0]].keys != ()))


def _dedented(line: str, column: int) -> str:
    return line[min(column, len(line) - len(line.lstrip())) :].rstrip()


def _with(text: str, keys: Keys, entry: _Entry) -> str:
    """Return a file with an entry added or replaced."""
    places, lines = _places(text), text.splitlines()
    comments = [line for line in entry.comments if line not in {each.strip() for each in lines}]
    missing: Keys = ()
    if keys in places:
        place = places[keys]
        old = lines[place.first : place.last + 1]
        here = dict(_leaves(parse_yaml(text, Path())))
        written = list(entry.lines)
        if len(written) == 1 and _same(entry, here.get(keys)):
            written = [_dedented(line, place.column) for line in old]
            if entry.trailing and entry.trailing not in written[-1]:
                written[-1] += f"  {entry.trailing}"
        first, last, indent = place.first, place.last + 1, place.column
    else:
        written = list(entry.lines)
        first, last, indent, missing = _gap(places, lines, keys)
    block = [f"{' ' * (indent + 2 * depth)}{name}:" for depth, name in enumerate(missing)]
    margin = " " * (indent + 2 * len(missing))
    block += [f"{margin}{line}" if line else "" for line in (*comments, *written)]
    if first == len(lines) and keys[0] not in {one[0] for one in places} and lines:
        block.insert(0, "")
    return "\n".join([*lines[:first], *block, *lines[last:]]) + "\n"


def _gap(places: Mapping[Keys, _Place], lines: Sequence[str], keys: Keys) -> tuple[int, int, int, Keys]:
    """Return the place of a new key: the lines it replaces, its indentation, and the missing sections above it."""
    parent = keys[:-1]
    while parent and parent not in places:
        parent = parent[:-1]
    if not parent:
        return len(lines), len(lines), 0, keys[:-1]
    section = places[parent]
    children = [place for one, place in places.items() if one[:-1] == parent]
    indent = children[0].column if children else section.column + 2
    end = section.last + 1
    # Optional settings are comments in the file.
    for number in range(section.first + 1, len(lines)):
        line = lines[number]
        if number > section.last and (not line.strip() or len(line) - len(line.lstrip()) <= section.column):
            break
        if keys[:-1] == parent and re.match(rf"\s*# {re.escape(keys[-1])}:", line):
            return number, number + 1, indent, ()
    return end, end, indent, keys[len(parent) : -1]

"""The configuration of one environment."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlops.base.environments import LOCAL, SHARED
from mlops.base.errors import MlopsError, UsageError
from mlops.project.configuration import BASE, PLACE, STACKS, shown

_REQUIRED = ("account", "bucket", "pipeline_role")


@dataclass(frozen=True)
class Environment:
    """The configuration of one environment: `config/base.yaml`, overlaid with `config/<name>.yaml`.

    Attributes:
        name: local, dev, staging or production.
        settings: The merged settings.
        path: The overlay, for messages.
        region: The AWS Region of the project.
        files: By dotted key, the file that sets it.
    """

    name: str
    settings: dict[str, Any]
    path: Path = field(compare=False)
    region: str
    files: Mapping[str, Path] = field(default_factory=dict, compare=False)

    def file(self, key: str) -> Path:
        """The file to edit for a dotted key: the one that sets it, else the one that it belongs in."""
        own = key in (*PLACE, "trained_in", "image_digest") or (self.name == SHARED and key.startswith(f"{STACKS}."))
        return self.files.get(key, self.path if own else BASE)

    def stack(self, name: str) -> dict[str, Any]:
        """The settings of a stack: parameters of its template, in snake case."""
        return (self.settings.get(STACKS) or {}).get(name) or {}

    def __getitem__(self, key: str) -> Any:
        """The value at a dotted key (`training.instance_type`).

        Raises:
            MlopsError: The key is missing or empty.
        """
        value: Any = self.settings
        for part in key.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if value is None:
            raise UsageError(f"{self.file(key)} does not say `{key}`.", f"Set `{key}` in {self.file(key)}.")
        return value

    def number(self, key: str) -> float:
        """The number at a dotted key.

        Raises:
            MlopsError: The key is missing, or what it says is no number.
        """
        return float(self._typed(key, (int, float), "a number such as 0.1 (1.0e-2, not 1e-2)"))

    def integer(self, key: str) -> int:
        """The whole number at a dotted key.

        Raises:
            MlopsError: The key is missing, or what it says is no whole number.
        """
        return int(self._typed(key, (int,), "a whole number"))

    def _typed(self, key: str, types: tuple[type, ...], wanted: str) -> Any:
        value = self[key]
        if isinstance(value, bool) or not isinstance(value, types):
            raise UsageError(f"{self.file(key)} says `{key}: {shown(value)}`.", f"It takes {wanted}.")
        return value

    def require_place(self) -> None:
        """Refuse an environment that does not say yet where it is.

        Raises:
            MlopsError: Keys are missing; the message lists all of them.
        """
        # The others follow from the account where they are left empty.
        missing = self.missing("account") or self.missing(*_REQUIRED)
        if missing:
            place = str(self.path)
            if self.name not in (LOCAL, SHARED):
                place += f", or for every environment in config/{SHARED}.yaml"
            raise UsageError(
                f"{self.path} does not say {', '.join(f'`{key}`' for key in missing)}.",
                f"Set {'it' if len(missing) == 1 else 'them'} in {place}; the comments there say what each is.",
            )

    def missing(self, *keys: str) -> list[str]:
        """Those of the dotted `keys` that the file leaves out or empty."""
        absent = []
        for key in keys:
            try:
                self[key]
            except MlopsError:
                absent.append(key)
        return absent

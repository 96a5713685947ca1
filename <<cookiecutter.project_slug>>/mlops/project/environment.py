"""The configuration of one environment."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from mlops.base.environments import LOCAL, SHARED
from mlops.base.errors import MlopsError, UsageError, errors_of, require_none
from mlops.project.configuration import ACCOUNT, BASE, FURTHER_ACCOUNTS, PLACE, STACKS, file_of, shown
from mlops.project.ranges import RANGES

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
        has_own_account: Whether its account must be its own; else it may be that of `dev`.
        account_name: The name of its account; see `stacks.ACCOUNTS`.
        account_keys: The dotted keys of the accounts that it cannot do without, its own first.
        data_account_key: The dotted key of the account of its bucket.
    """

    name: str
    settings: dict[str, Any]
    path: Path = field(compare=False)
    region: str
    files: Mapping[str, Path] = field(default_factory=dict, compare=False)
    has_own_account: bool = False
    account_name: str = ""
    account_keys: tuple[str, ...] = (ACCOUNT,)
    data_account_key: str = ACCOUNT

    def file(self, key: str) -> Path:
        """Return the file to edit for a dotted key: the one that sets it, or the one where it belongs."""
        own = key in (*PLACE, "trained_in", "image_digest") or (
            self.name == SHARED and key.startswith((f"{STACKS}.", f"{FURTHER_ACCOUNTS}."))
        )
        return self.files.get(key, self.path if own else BASE)

    def stack(self, name: str) -> dict[str, Any]:
        """Return the settings of a stack: parameters of its template, in snake case."""
        return (self.settings.get(STACKS) or {}).get(name) or {}

    def __getitem__(self, key: str) -> Any:
        """Return the value at a dotted key (`training.instance_type`).

        Raises:
            MlopsError: The key is missing or empty.
        """
        value: Any = self.settings
        for part in key.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if value is None:
            raise UsageError(f"{self.file(key)} has no value for `{key}`.", f"Set `{key}` in {self.file(key)}.")
        return value

    def number(self, key: str) -> float:
        """Return the number at a dotted key.

        Raises:
            MlopsError: The key is missing, or its value is not a number, or out of its range.
        """
        wanted = "a number such as 0.1 (1.0e-2, not 1e-2)"
        value = self._typed(key, (int, float), wanted)
        try:
            return float(value)
        except OverflowError:
            raise self._invalid(key, value, wanted) from None

    def integer(self, key: str) -> int:
        """Return the whole number at a dotted key.

        Raises:
            MlopsError: The key is missing, or its value is not a whole number, or out of its range.
        """
        return int(self._typed(key, (int,), "a whole number"))

    def flag(self, key: str) -> bool:
        """Return the flag at a dotted key.

        Raises:
            MlopsError: The key is missing, or its value is neither true nor false.
        """
        value = self[key]
        if not isinstance(value, bool):
            raise self._invalid(key, value, "true or false")
        return value

    def require_ranges(self) -> None:
        """Reject numbers that are out of their range.

        Raises:
            MlopsError: At least one is; the message lists all.
        """
        reads = {key: self.integer if allowed.whole else self.number for key, allowed in RANGES.items()}
        given = [partial(read, key) for key, read in reads.items() if not self.missing(key)]
        require_none(error for read in given for error in errors_of(read))

    def _typed(self, key: str, types: tuple[type, ...], wanted: str) -> Any:
        value = self[key]
        if isinstance(value, bool) or not isinstance(value, types):
            raise self._invalid(key, value, wanted)
        self._require_range(key, value)
        return value

    def _require_range(self, key: str, value: Any) -> None:
        allowed = RANGES.get(key)
        if allowed and not allowed.least <= value <= allowed.most:
            what = "low" if value < allowed.least else "high"
            raise UsageError(f"`{key}: {value}` in {self.file(key)} is too {what}.", f"Use {allowed}.")

    def _invalid(self, key: str, value: Any, wanted: str) -> UsageError:
        return UsageError(f"{self.file(key)} has an invalid value: `{key}: {shown(value)}`.", f"Use {wanted}.")

    def require_place(self) -> None:
        """Reject an environment whose place is not configured yet.

        Raises:
            MlopsError: Keys are missing; the message lists all of them.
        """
        # The others are derived from the account if they are empty.
        missing = self.missing(*self.account_keys) or self.missing(*_REQUIRED)
        if missing:
            place = str(self.file(missing[0]))
            if self.name not in (LOCAL, SHARED) and not self.has_own_account and missing[0] == ACCOUNT:
                place += f", or for every environment in {file_of(SHARED)}"
            it = "it" if len(missing) == 1 else "them"
            raise UsageError(
                f"{self.file(missing[0])} has no value for {', '.join(f'`{key}`' for key in missing)}.",
                f"Set {it} in {place}; the comments there explain {it}.",
            )

    def missing(self, *keys: str) -> list[str]:
        """Return the dotted `keys` without a value."""
        absent = []
        for key in keys:
            try:
                self[key]
            except MlopsError:
                absent.append(key)
        return absent

"""Recording of boto3 calls in a child process.

A call becomes a line of JSON in the file that the environment variable PROOF_CALLS names; see `calls`. botocore is only
touched when a program imports it, so that a program that does not use AWS starts as quickly as ever.
"""

import importlib.util
import json
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from standin.principals import role_of_token

_CLIENT = "botocore.client"
_SERVING = "(process_request_thread)"
"""What names of the threads end with in which the stand-in account answers: its own calls are nobody's."""


class _RecordingLoader(Loader):
    """Loads botocore's client and makes it record."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        _record(module)


class _Finder(MetaPathFinder):
    def find_spec(self, name: str, _path: Any, _target: ModuleType | None = None) -> ModuleSpec | None:
        if name != _CLIENT:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.loader is not None
        spec.loader = _RecordingLoader(spec.loader)
        return spec


def _record(client: Any) -> None:
    make, send = client.BaseClient._make_api_call, client.BaseClient._make_request
    sent = threading.local()

    def noted(*arguments: Any) -> Any:
        sent.here = True
        return send(*arguments)

    def recorded(self: Any, operation: str, parameters: dict[str, Any]) -> Any:
        model, error, sent.here = self.meta.service_model, None, False
        try:
            return make(self, operation, parameters)
        except Exception as caught:
            error = str(caught)
            raise
        finally:
            # What a program answers itself, as compiling does, is no call of AWS.
            if sent.here and not threading.current_thread().name.endswith(_SERVING):
                call = {
                    "role": role_of_token(_token(self)) or os.environ.get("PROOF_ROLE", ""),
                    "service": model.signing_name,
                    "operation": operation,
                    "parameters": parameters,
                    "region": self.meta.region_name,
                    "passed": sorted(set(_passed(model.operation_model(operation).input_shape, parameters))),
                    "error": error,
                }
                with Path(os.environ["PROOF_CALLS"]).open("a", encoding="utf-8") as file:
                    file.write(json.dumps(call, default=str) + "\n")

    client.BaseClient._make_request = noted
    client.BaseClient._make_api_call = recorded


def _token(client: Any) -> str | None:
    """The session token that a client signs with, which says whose role it is."""
    token: str | None = getattr(client._request_signer._credentials, "token", None)
    return token


def _passed(shape: Any, value: Any) -> Iterator[str]:
    """The roles that a call hands to a service: role ARNs where the service's model has a member for one."""
    if shape is None or value is None:
        return
    if shape.type_name == "structure":
        for name, member in shape.members.items():
            yield from _passed(member, value.get(name))
    elif shape.type_name in ("list", "map"):
        items = value.values() if shape.type_name == "map" else value
        for item in items:
            yield from _passed(shape.value if shape.type_name == "map" else shape.member, item)
    elif isinstance(value, str) and value.startswith("arn:") and ":iam::" in value and ":role/" in value:
        yield value


@contextmanager
def recorded_here() -> Iterator[None]:
    """Record the calls of this process within a `with` block; environment variables say where, and as which role."""
    client = importlib.import_module(_CLIENT).BaseClient
    kept = {name: getattr(client, name) for name in ("_make_api_call", "_make_request")}
    _record(sys.modules[_CLIENT])
    try:
        yield
    finally:
        for name, method in kept.items():
            setattr(client, name, method)


def install() -> None:
    """Record the calls of this process from now on."""
    if _CLIENT in sys.modules:
        _record(sys.modules[_CLIENT])
    else:
        sys.meta_path.insert(0, _Finder())

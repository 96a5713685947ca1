"""The address of a server on this machine: as in a URL, and within what a machine has."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mlops.base.errors import MlopsError
from mlops.endpoints import local
from mlops.registry import archives
from mlops.registry.local import LocalRegistry
from mlops.registry.versions import APPROVED, ModelVersion
from mlops.serving.state import State
from mlops.serving.supervisor import _listen
from mlops.store.local import LocalStore

STATE = State(1, "", "InService", "127.0.0.1", 8080, 1, 1, "")
VERSION = ModelVersion(1, "arn", APPROVED, datetime.now(UTC), None, "", "s3://b/model.tar.gz", "", (), {})


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8080"),
        ("0.0.0.0", "http://127.0.0.1:8080"),
        ("::1", "http://[::1]:8080"),
        ("::", "http://[::1]:8080"),
        ("localhost", "http://localhost:8080"),
    ],
)
def test_a_url_has_an_address_that_a_client_can_use(host: str, url: str) -> None:
    assert local._deployment(replace(STATE, host=host)).url == url


@pytest.mark.parametrize("host", ["a..b", "x" * 80, "[::1]", "no.such.host.invalid"])
def test_an_address_that_is_none_is_a_message(host: str) -> None:
    with pytest.raises(MlopsError, match="Cannot listen on"):
        _listen(host, 0)


def test_models_that_cannot_be_unpacked_here_are_a_message(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MlopsError, match=r"Cannot write .*file/models"):
        archives.unpacked(LocalRegistry(tmp_path, LocalStore(tmp_path)), VERSION, tmp_path / "file/models")

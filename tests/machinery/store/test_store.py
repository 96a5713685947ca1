"""The object store: what holds for S3 and for the folder that stands in for it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mlops.base.errors import MlopsError
from mlops.project.account import Account
from mlops.store.local import LocalStore
from mlops.store.port import Store
from mlops.store.s3 import S3Store
from standin.account import ACCOUNT, REGION, StandInAccount
from tests.places import BUCKET, ROLE

Put = Callable[[str, bytes], object]


@pytest.fixture(params=["local", "s3"])
def stored(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Store, Put]:
    """A store, and a way to put an object into the bucket."""
    if request.param == "local":
        local = LocalStore(tmp_path / "s3")

        def write(key: str, content: bytes) -> None:
            path = local.path(f"s3://{BUCKET}/{key}")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

        return local, write
    request.getfixturevalue("with_bucket")
    account = Account(id=ACCOUNT, region=REGION, bucket=BUCKET, role=ROLE)
    account.s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    return S3Store(account), lambda key, content: account.s3.put_object(Bucket=BUCKET, Key=key, Body=content)


def test_an_object_is_copied_into_a_folder_that_need_not_exist(stored: tuple[Store, Put], tmp_path: Path) -> None:
    store, put = stored
    put("models/1/model.tar.gz", b"model")
    path = store.download(f"s3://{BUCKET}/models/1/model.tar.gz", tmp_path / "a" / "b")
    assert path == tmp_path / "a" / "b" / "model.tar.gz"
    assert path.read_bytes() == b"model"
    assert [entry.name for entry in path.parent.iterdir()] == ["model.tar.gz"]


def test_a_document_is_read(stored: tuple[Store, Put]) -> None:
    store, put = stored
    put("report.json", b'{"auc": 0.7}')
    assert store.read_json(f"s3://{BUCKET}/report.json") == {"auc": 0.7}


def test_what_is_not_json_is_refused_with_its_uri(stored: tuple[Store, Put]) -> None:
    store, put = stored
    put("report.json", b"{")
    with pytest.raises(MlopsError, match=rf"s3://{BUCKET}/report\.json is damaged"):
        store.read_json(f"s3://{BUCKET}/report.json")


def test_an_object_that_is_missing_is_named_and_leaves_nothing_behind(
    stored: tuple[Store, Put], tmp_path: Path
) -> None:
    store, put = stored
    put("models/1/model.tar.gz", b"model")
    for uri in (f"s3://{BUCKET}/models/2/model.tar.gz", f"s3://{BUCKET}/models"):
        with pytest.raises(MlopsError, match=uri):
            store.download(uri, tmp_path / "models")
        with pytest.raises(MlopsError, match=uri):
            store.read_json(uri)
    assert not list((tmp_path / "models").glob("*"))


@pytest.mark.parametrize("uri", ["bucket/key", "s3://", "https://bucket/key", ""])
def test_what_is_not_an_s3_uri_is_refused(stored: tuple[Store, Put], tmp_path: Path, uri: str) -> None:
    store, _ = stored
    with pytest.raises(MlopsError, match="is not an S3 URI"):
        store.download(uri, tmp_path)
    with pytest.raises(MlopsError, match="is not an S3 URI"):
        store.read_json(uri)


def test_versions_below_a_uri_are_listed_and_copied(stored: tuple[Store, Put]) -> None:
    store, put = stored
    put("data/part/a.csv", b"1")
    put("data/b.csv", b"22")
    put("elsewhere/c.csv", b"333")
    listed = sorted(store.versions(f"s3://{BUCKET}/data/"))
    assert [(each.key, each.size) for each in listed] == [("data/b.csv", 2), ("data/part/a.csv", 1)]
    assert not store.exists(f"s3://{BUCKET}/copy/")
    store.copy(BUCKET, listed[1], f"s3://{BUCKET}/copy/a.json")
    assert store.exists(f"s3://{BUCKET}/copy/")
    assert store.read_json(f"s3://{BUCKET}/copy/a.json") == 1
    assert list(store.versions(f"s3://{BUCKET}/nothing/")) == []


def test_an_old_version_is_listed_and_copied(with_bucket: StandInAccount) -> None:
    account = Account(id=ACCOUNT, region=REGION, bucket=BUCKET, role=ROLE)
    account.s3.put_object(Bucket=BUCKET, Key="data/a.csv", Body=b"0")  # from before the bucket was versioned
    account.s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    store = S3Store(account)
    [unversioned] = store.versions(f"s3://{BUCKET}/data/")
    for body in (b"1", b"2"):
        account.s3.put_object(Bucket=BUCKET, Key="data/a.csv", Body=body)
    listed = store.versions(f"s3://{BUCKET}/data/")
    assert len(listed) == 3
    assert unversioned in listed
    for number, version in enumerate(listed):
        store.copy(BUCKET, version, f"s3://{BUCKET}/copy/{number}.json")
    assert sorted(store.read_json(f"s3://{BUCKET}/copy/{number}.json") for number in range(3)) == [0, 1, 2]
    store.copy(BUCKET, unversioned, f"s3://{BUCKET}/copy/first.json")
    assert store.read_json(f"s3://{BUCKET}/copy/first.json") == 0


def test_a_uri_matches_the_names_that_begin_like_it(stored: tuple[Store, Put]) -> None:
    store, put = stored
    for key in ("runs/test/a.csv", "runs/test_small/b.csv", "runs/other/c.csv"):
        put(key, b"x")
    found = {prefix: sorted(each.key for each in store.versions(f"s3://{BUCKET}/{prefix}")) for prefix in PREFIXES}
    assert found == PREFIXES
    assert {prefix: store.exists(f"s3://{BUCKET}/{prefix}") for prefix in PREFIXES} == {
        prefix: bool(keys) for prefix, keys in PREFIXES.items()
    }


PREFIXES: dict[str, list[str]] = {
    "runs/test": ["runs/test/a.csv", "runs/test_small/b.csv"],
    "runs/test/": ["runs/test/a.csv"],
    "runs/test/a.csv": ["runs/test/a.csv"],
    "runs/t": ["runs/test/a.csv", "runs/test_small/b.csv"],
    "runs/x": [],
}

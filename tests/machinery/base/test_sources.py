"""What leaves this machine is what git tracks, and never a key."""

import io
import subprocess
import zipfile
from pathlib import Path

import pytest

from mlops.base.archives import zipped
from mlops.base.contents import job_files
from mlops.base.errors import MlopsError
from mlops.base.sources import find, require_public
from mlops.compile.compiler import _warn_of_files
from mlops.compile.content import ContentStore
from mlops.deployment.publish import _tracked

KEY = b"-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\n"
ACCESS_KEY = b"AKIA" + b"Q3EGUXYZ4ABCDEFG"


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


def write(folder: Path, name: str, content: bytes = b"") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("project.yaml", "src/model/schema.py", "modelkit/job.py", "pipelines/training.py", "data/raw/a.csv"):
        write(tmp_path, name)
    write(tmp_path, ".gitignore", b"*.pem\nlocal_*\n/notes/\n")
    return tmp_path


@pytest.fixture
def repository(project: Path) -> Path:
    git(project, "init", "--quiet")
    git(project, "add", ".")
    git(project, "commit", "--quiet", "-m", "first")
    return project


def packed(root: Path) -> set[str]:
    return {name for name, _ in job_files(root)}


def test_jobs_get_what_git_tracks_and_new_files_but_none_that_it_ignores(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("new.py", "key.pem", "local_settings.py", "__pycache__/a.pyc", ".hidden"):
        write(repository, f"src/model/{name}", KEY if name == "key.pem" else b"")
    assert packed(repository) == {"model/schema.py", "model/new.py", "modelkit/job.py"}
    _warn_of_files(repository)
    shown = capsys.readouterr().err
    assert "not in git yet, but part of the jobs: src/model/new.py\n" in shown
    assert "jobs and models do not have them: src/model/key.pem, src/model/local_settings.py" in shown


@pytest.mark.parametrize("name", ["caf\udce9.py", "a\x1b[31m.py", "a\rb.py", "adm\u202ein.py"])
def test_a_name_that_cannot_be_shown_is_refused_unless_git_ignores_it(repository: Path, name: str) -> None:
    write(repository, f"src/model/{name}")
    with pytest.raises(MlopsError, match=r"src/model/.*\\") as refused:
        find(repository, ["src/model"])
    assert name not in str(refused.value)
    write(repository, ".gitignore", b"src/model/*\n!src/model/schema.py\n")
    assert "model/schema.py" in packed(repository)


def test_nothing_is_said_of_a_project_as_committed(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _warn_of_files(repository)
    assert capsys.readouterr().err == ""


def test_what_is_published_is_what_git_tracks(repository: Path) -> None:
    for name in ("notes/draft.txt", "key.pem", "report.html"):
        write(repository, name)
    (repository / "modelkit/job.py").unlink()
    names = {name for name, _ in _tracked(repository)}
    assert names == {"project.yaml", "src/model/schema.py", "pipelines/training.py", "data/raw/a.csv"}


@pytest.mark.parametrize("name", ["src/model/new.py", "pipelines/new.py", "infra/new.yaml", "config/test.yaml"])
def test_a_source_that_is_not_in_git_is_not_lost_when_publishing(repository: Path, name: str) -> None:
    write(repository, name)
    with pytest.raises(MlopsError, match=f"not published: {name}") as refused:
        _tracked(repository)
    assert "Add them to git" in refused.value.remedy


def test_outside_git_everything_is_packed_but_hidden_files_and_caches(project: Path) -> None:
    write(project, "src/model/local_settings.py")
    assert packed(project) == {"model/schema.py", "model/local_settings.py", "modelkit/job.py"}
    assert {name for name, _ in _tracked(project)} >= {"src/model/local_settings.py", "project.yaml"}


def test_before_the_first_commit_new_files_count_as_tracked(project: Path) -> None:
    git(project, "init", "--quiet")
    write(project, "src/model/key.pem", KEY)
    assert find(project).untracked == []
    assert find(project).ignored == ["src/model/key.pem"]
    assert "src/model/schema.py" in dict(_tracked(project))


def test_a_project_in_an_ignored_folder_of_another_repository_is_outside_git(repository: Path) -> None:
    inner = repository / "notes/trial"
    for name in ("project.yaml", "src/model/schema.py", "modelkit/job.py"):
        write(inner, name)
    assert packed(inner) == {"model/schema.py", "modelkit/job.py"}


PRIVATE = {
    "key.pem": b"",
    "server.KEY": b"",
    "prod.env": b"A=1",
    "id_rsa": b"",
    "store.p12": b"",
    "credentials": b"",
    "settings.py": b"KEY = '''" + KEY + b"'''",
    "pkcs8.txt": b"-----BEGIN PRIVATE KEY-----",
    "encrypted.txt": b"-----BEGIN ENCRYPTED PRIVATE KEY-----",
    "openssh.txt": b"-----BEGIN OPENSSH PRIVATE KEY-----",
    "pgp.txt": b"-----BEGIN PGP PRIVATE KEY BLOCK-----",
    "client.py": b"boto3.client('s3', aws_access_key_id='" + ACCESS_KEY + b"')",
    "session.py": b"id = '" + ACCESS_KEY.replace(b"AKIA", b"ASIA") + b"'",
    "config.ini": b"aws_secret_access_key = wJalrXUtnFEMIK7MDENGbPxRfiCYabcdefghijkl",
}


@pytest.mark.parametrize("name", PRIVATE)
def test_keys_and_credentials_are_packed_nowhere(tmp_path: Path, name: str) -> None:
    path, content = write(tmp_path, name, PRIVATE[name]), PRIVATE[name]
    store = ContentStore(tmp_path / "objects", "bucket", "trial")
    for pack in (lambda: store.add({name: content}), lambda: zipped([(name, path)])):
        with pytest.raises(MlopsError, match="not packed: ") as refused:
            pack()
        assert name in refused.value.message
        assert "Secrets Manager" in refused.value.remedy
    assert not (tmp_path / "objects").exists()


@pytest.mark.parametrize(
    "content",
    [
        b"-----BEGIN CERTIFICATE-----",
        b"-----BEGIN PUBLIC KEY-----",
        b"AKIAIOSFODNN7EXAMPLE",
        b"aws_secret_access_key = os.environ['AWS_SECRET_ACCESS_KEY']",
        b"SHAKIA" + b"A" * 16,
    ],
)
def test_public_files_are_packed(content: bytes) -> None:
    require_public([("environment.py", content), ("keys.py", content)])
    assert zipfile.ZipFile(io.BytesIO(zipped([]))).namelist() == []


def test_many_are_named_shortly() -> None:
    with pytest.raises(MlopsError, match="and 5 more") as refused:
        require_public((f"{number}.pem", b"") for number in range(15))
    assert len(refused.value.message) < 700

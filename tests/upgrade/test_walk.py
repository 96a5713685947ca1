"""A project of release 0.4.0, edited as its documentation suggests, comes over with the steps of the changelog."""

import csv
import gzip
import io
import subprocess
from pathlib import Path

import pytest

from mlops.project.machinery import compare
from mlops.project.project import Project
from tests.environments import give
from tests.projects import SLUG, Bake, of_user
from tests.upgrade.test_conversion import before
from tests.upgrade.test_upgrade import cruft, files, git, take_over
from tests.upgrade.test_upgrade import repository as repository  # a fixture

pytestmark = pytest.mark.slow

SAMPLE, DATA, REQUEST = "data/raw/visits.csv.gz", "data/raw/patients.csv.gz", "data/request.csv"
EDITS: dict[str, list[tuple[str, str]]] = {
    "src/model/schema.py": [
        (
            '        Column("visited", "boolean", "target"',
            '        Column("smoker", "boolean", "feature", "smokes", nullable=True),\n'
            '        Column("visited", "boolean", "target"',
        )
    ],
    "src/model/derive.py": [
        (
            "DERIVED: Mapping[str, Derivation] = {\n",
            "def age_squared(columns: Columns) -> Values:\n"
            '    """Return the square of the age."""\n'
            '    return columns["age"] ** 2\n\n\n'
            'DERIVED: Mapping[str, Derivation] = {\n    "age_squared": age_squared,\n',
        )
    ],
    "src/model/hyperparameters.py": [
        (
            '    Hyperparameter("gamma"',
            '    Hyperparameter("max_delta_step", float, 0, 0, 10, "largest step of a leaf"),\n'
            '    Hyperparameter("gamma"',
        )
    ],
    "src/model/algorithm.py": [('"tree_method": "hist"', '"tree_method": "hist", "grow_policy": "lossguide"')],
    "infra/endpoint.yaml": [
        (
            "\nConditions:\n",
            "  SlowMilliseconds: {Type: Number, Default: 2000, Description: What is slow.}\n\nConditions:\n",
        ),
        (
            "\nOutputs:\n",
            "\n  Slow:\n"
            "    Type: AWS::CloudWatch::Alarm\n"
            "    Properties:\n"
            '      AlarmName: !Sub "${ProjectName}-${EnvironmentName}-slow"\n'
            "      Threshold: !Ref SlowMilliseconds\n"
            "      ComparisonOperator: GreaterThanThreshold\n"
            "      EvaluationPeriods: 1\n"
            "\nOutputs:\n",
        ),
    ],
    "config/local.yaml": [
        ("min_auc: 0.70", "min_auc: 0.66"),
        ("max_depth: 4", "max_depth: 5  # as in the paper"),
        ("  gamma: 0\n", "  gamma: 0\n  # Keeps the rare ones in reach.\n  max_delta_step: 1\n"),
    ],
    "config/dev.yaml": [
        ("account: null", 'account: "123456789012"'),
        ("min_auc: 0.70", "min_auc: 0.66"),
        ("max_depth: 4", "max_depth: 6"),
        ("  gamma: 0\n", "  gamma: 0\n  max_delta_step: 1\n"),
        ("notification_email: null", "notification_email: clinic@example.com"),
    ],
    "config/production.yaml": [("  bake_seconds: 600\n", "  bake_seconds: 900\n  slow_milliseconds: 900\n")],
    "README.md": [("# Doctor visits\n", "# Doctor visits\n\nThe clinic's.\n")],
}
"""By file, texts of release 0.4.0 and what their owner puts in their place."""

DELETED = "mlops/errors.py"
"""A file of the machinery that is not there any more."""


def with_column(text: str) -> str:
    """Rows with the column that the owner adds to the schema."""
    rows = list(csv.reader(io.StringIO(text)))
    stream = io.StringIO()
    values = ["smoker", *(str(number % 2) for number in range(len(rows) - 1))]
    csv.writer(stream, lineterminator="\n").writerows([*row, value] for row, value in zip(rows, values, strict=True))
    return stream.getvalue()


def edit(project: Path) -> None:
    for name, changes in EDITS.items():
        text = (project / name).read_text()
        for old, new in changes:
            assert text.count(old) == 1, (name, old)
            text = text.replace(old, new)
        (project / name).write_text(text)
    (project / DATA).write_bytes(
        gzip.compress(with_column(gzip.decompress((project / SAMPLE).read_bytes()).decode()).encode())
    )
    (project / REQUEST).write_text(with_column((project / REQUEST).read_text()))
    (project / SAMPLE).unlink()
    (project / DELETED).unlink()


def test_a_project_of_release_0_4_0_comes_over_with_all_edits(
    rendering: Bake, repository: Path, tmp_path: Path
) -> None:
    cruft(tmp_path, "create", str(repository), "--no-input", "--checkout", "v0.4.0")
    project = tmp_path / SLUG
    git(project, "init", "--quiet")
    git(project, "add", ".")
    git(project, "commit", "--quiet", "--message", "the untouched output")
    edit(project)
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "--message", "our edits")
    settings = {path.stem: before(path.read_text()) for path in (project / "config").glob("*.yaml")}

    take_over(project)

    fresh, upgraded = files(rendering()), files(project)
    assert upgraded.keys() == fresh.keys() - {SAMPLE} | {DATA}
    assert str(compare(Project(project))) == ""  # what `python -m mlops --version` prints
    edited = {*EDITS, REQUEST, "config/base.yaml"}
    assert {name for name in fresh.keys() & upgraded.keys() if upgraded[name] != fresh[name]} <= edited
    for name, changes in EDITS.items():
        if not name.startswith("config/"):
            assert [new for _, new in changes if new not in upgraded[name].decode()] == [], name
    for name, values in settings.items():
        environment = Project(project).environment(name)
        unread = {"monitoring", "capture"} if name == "dev" else set()
        for keys, value in values.items():
            if value is not None and keys[0] not in unread:
                assert environment[".".join(keys)] == value, (name, keys)
    assert b"  # Keeps the rare ones in reach.\n  max_delta_step: 1\n" in upgraded["config/base.yaml"]
    assert b"max_depth: 5  # as in the paper" in upgraded["config/local.yaml"]

    result = subprocess.run(
        ["make", "test"], cwd=give(project), env=of_user(), capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr

from pathlib import Path

import pytest

from standin.account import StandInAccount
from standin.buildspecs import Build, BuildProject
from standin.calls import CallRecord

ROLE = "arn:aws:iam::123456789012:role/build"


@pytest.fixture
def project(account: StandInAccount, record: CallRecord, tmp_path: Path) -> BuildProject:
    return BuildProject(account, record, ROLE, tmp_path / "builds")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "source/model").mkdir(parents=True)
    (tmp_path / "source/model/train.py").write_text("train")
    (tmp_path / "source/.hidden").write_text("hidden")
    return tmp_path / "source"


def build(project: BuildProject, source: Path, text: str, **others: Path) -> Build:
    return project.build(f"version: 0.2\n{text}", {"source": source, **others})


def test_phases_run_in_order_in_one_shell_that_keeps_its_state(project: BuildProject, source: Path) -> None:
    done = build(
        project,
        source,
        """
phases:
  post_build: {commands: [greet "$WHO", pwd]}
  install: {commands: ["greet() { echo hello $1; }", WHO=you, cd model]}
""",
    )
    assert [phase.name for phase in done.phases] == ["install", "post_build"]
    greeting, folder = done.phases[1].output.splitlines()
    assert greeting == "hello you"
    assert folder.endswith("src/model")


def test_a_failed_build_runs_finally_and_post_build_but_leaves_nothing(project: BuildProject, source: Path) -> None:
    done = build(
        project,
        source,
        """
env: {exported-variables: [DIGEST]}
phases:
  build: {commands: [DIGEST=1, "false", echo unreached], finally: [echo cleaned]}
  post_build: {commands: [echo succeeding $CODEBUILD_BUILD_SUCCEEDING]}
artifacts: {files: ["**/*"]}
""",
    )
    assert [(phase.succeeded, phase.output) for phase in done.phases] == [
        (False, "cleaned\n"),
        (True, "succeeding 0\n"),
    ]
    assert (done.succeeded, done.exported, done.artifacts) == (False, {}, {})


@pytest.mark.parametrize(
    ("phase", "on_failure", "run"),
    [
        ("pre_build", "", ["pre_build"]),
        ("pre_build", "on-failure: CONTINUE,", ["pre_build", "build", "post_build"]),
        ("build", "on-failure: ABORT,", ["build"]),
    ],
)
def test_what_follows_a_failed_phase(
    project: BuildProject, source: Path, phase: str, on_failure: str, run: list[str]
) -> None:
    phases = {"build": "{commands: [echo]}", "post_build": "{commands: [echo]}"}
    phases[phase] = f"{{{on_failure} commands: [exit 3]}}"
    text = "phases:\n" + "\n".join(f"  {name}: {value}" for name, value in phases.items())
    done = build(project, source, text)
    assert [phase.name for phase in done.phases] == run
    assert not done.succeeded


def test_a_failing_finally_fails_the_phase_and_a_failing_line_within_a_command_does_not(
    project: BuildProject, source: Path
) -> None:
    text = 'phases:\n  build: {commands: ["false\\necho on"], finally: [%s]}'
    assert build(project, source, text % "echo").succeeded
    assert not build(project, source, text % '"false"').succeeded


def test_variables_come_from_everywhere_and_the_project_wins(project: BuildProject, source: Path) -> None:
    project.account.client("ssm").put_parameter(Name="/visits/bucket", Value="data", Type="String")
    project.account.client("secretsmanager").create_secret(Name="token", SecretString='{"key": "secret"}')
    project.variables = {"STAGE": "production"}
    done = build(
        project,
        source,
        """
env:
  variables: {STAGE: staging, COUNT: 3}
  parameter-store: {BUCKET: /visits/bucket}
  secrets-manager: {TOKEN: "token:key"}
  exported-variables: [STAGE, COUNT, BUCKET, TOKEN, MADE, KEPT, MISSING]
phases:
  build: {commands: [MADE="a b$COUNT", export MADE, KEPT=1]}
""",
    )
    exported = {"STAGE": "production", "COUNT": "3", "BUCKET": "data", "TOKEN": "secret", "MADE": "a b3"}
    assert done.exported == exported
    assert list(map(str, done.findings)) == [
        f"env/exported-variables/{name}: no command exports it" for name in ("KEPT", "MISSING")
    ]


def test_artifacts_are_what_their_patterns_name(project: BuildProject, source: Path) -> None:
    done = build(
        project,
        source,
        """
phases:
  build: {commands: [mkdir -p dist/deep, echo 1 > dist/one.txt, echo 2 > dist/deep/two.txt, echo 3 > dist/deep/one.log]}
artifacts:
  files: ["**/*"]
  exclude-paths: dist/**/*.log
  secondary-artifacts:
    flat: {base-directory: dist, files: ["**/*.txt"], discard-paths: yes}
    nothing: {base-directory: none, files: ["**/*"]}
    unmatched: {files: ["dist/*.csv"]}
""",
    )
    files = {
        name: sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())
        for name, folder in done.artifacts.items()
    }
    assert files[""] == [".hidden", "dist/deep/two.txt", "dist/one.txt", "model/train.py"]
    assert files["flat"] == ["one.txt", "two.txt"]
    assert list(map(str, done.findings)) == [
        "artifacts/secondary-artifacts/nothing/base-directory: there is no none",
        "artifacts/secondary-artifacts/unmatched/files: dist/*.csv matches no file",
    ]


def test_two_files_of_one_name_cannot_both_lose_their_paths(project: BuildProject, source: Path) -> None:
    text = 'phases: {build: {commands: ["mkdir a b; echo 1 > a/x; echo 2 > b/x"]}}\n'
    done = build(project, source, text + "artifacts: {files: ['[ab]/x'], discard-paths: yes}")
    assert list(map(str, done.findings)) == ["artifacts/discard-paths: two files are called x"]


def test_an_artifact_is_the_source_of_the_next_stage(project: BuildProject, source: Path) -> None:
    first = build(project, source, "phases: {build: {commands: [echo 1 > made]}}\nartifacts: {files: [made]}")
    text = "phases: {build: {commands: ['cat made $CODEBUILD_SRC_DIR_code/model/train.py']}}"
    second = build(project, first.artifacts[""], text, code=source)
    assert second.phases[0].output == "1\ntrain"


def test_the_cache_lasts_and_nothing_else_does(project: BuildProject, source: Path) -> None:
    text = """
phases: {build: {commands: [mkdir -p .cache ~/.pip, echo 1 | tee .cache/a ~/.pip/b > other]}}
cache: {paths: [".cache/**/*", "/root/.pip/**/*"]}
"""
    build(project, source, text)
    cached = build(project, source, "phases: {build: {commands: [cat .cache/a ~/.pip/b, test ! -e other]}}")
    assert cached.succeeded
    assert cached.phases[0].output == "1\n1\n"


def test_the_aws_command_reaches_the_account_as_the_role(
    project: BuildProject, source: Path, record: CallRecord
) -> None:
    done = build(
        project,
        source,
        """
phases:
  build:
    commands:
      - aws ssm put-parameter --name /visits/image --value sha256:1 --type String --no-overwrite
      - aws ssm get-parameter --name /visits/image --query Parameter.Value --output text
      - aws ecr create-repository --repository-name visits --image-scanning-configuration scanOnPush=true
      - aws ecr get-login-password | wc -w
""",
    )
    assert done.succeeded, done.phases
    assert done.phases[0].output.splitlines()[-1] == "1"
    assert "sha256:1" in done.phases[0].output.splitlines()
    operations = ["PutParameter", "GetParameter", "CreateRepository", "GetAuthorizationToken"]
    assert [(call.operation, call.role) for call in record.calls()] == [(name, ROLE) for name in operations]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("aws ssm get-parametr --name /a", "ssm has no operation get-parametr"),
        ("aws ssm get-parameter --nam /a", "ssm get-parameter takes no --nam"),
        ("aws sm list-models", "Unknown service: 'sm'"),
        ("aws ssm get-parameter --name /a", "ParameterNotFound"),
    ],
)
def test_a_misspelt_or_failing_aws_command_fails_the_build(
    project: BuildProject, source: Path, command: str, said: str
) -> None:
    done = build(project, source, f"phases: {{build: {{commands: ['{command}']}}}}")
    assert not done.succeeded
    assert said in done.phases[0].output


def test_stand_in_commands_are_recorded(project: BuildProject, source: Path) -> None:
    project.commands = {"docker": "echo built"}
    done = build(project, source, "phases: {build: {commands: ['docker build . -t \"a b\"']}}")
    assert done.phases[0].output == "built\n"
    assert done.commands == [["docker", "build", ".", "-t", "a b"]]

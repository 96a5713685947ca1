"""What a commit sets off: the stacks deployed, the builds really run, and the calls held against the roles."""

import json
import shutil
import zipfile
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import yaml

from standin import deploy, patterns
from standin.account import StandInAccount
from standin.buildspecs import Build, BuildProject
from standin.calls import CallRecord
from standin.lambdas import deliver
from standin.needs import Need, keys, needs
from standin.service_side import service_needs
from standin.template import parse, resolve
from tests.answers import label, rest_at_night
from tests.infra.checks import buildspec_schema
from tests.infra.deployed import NAMES, Deployed
from tests.infra.rendered import SLUG, buildspecs, configured, texts
from tests.infra.samples import sample
from tests.projects import Bake

BEFORE, OURS = ("data", "registry", "execution"), ("cicd", "build")
PIPELINE = f"{SLUG}-training"
COMMIT = "89abcdef0123456789abcdef0123456789abcdef"
GITHUB, CODECOMMIT = {"git_provider": "github"}, {"git_provider": "codecommit", "training_image": "custom"}
DEPLOYS_ONLY = {"project_scope": "deploy"}

each_source = pytest.mark.parametrize("answers", [GITHUB, CODECOMMIT], ids=label)


class Builds(Deployed):
    """The stacks of the builds, and those that they need, in an account."""

    def action(self, stage: str) -> dict[str, Any]:
        """The one action of a stage of the pipeline."""
        found = self.account.client("codepipeline").get_pipeline(name=self.values["BuildPipeline"])
        [action] = next(each for each in found["pipeline"]["stages"] if each["name"] == stage)["actions"]
        configuration: dict[str, Any] = action["configuration"]
        return configuration

    def rule(self, name: str) -> dict[str, Any]:
        """The pattern of a rule."""
        pattern: dict[str, Any] = json.loads(self.account.client("events").describe_rule(Name=name)["EventPattern"])
        return pattern

    def artifacts(self) -> list[Need]:
        """What CodePipeline needs to hand artifacts on."""
        return [
            *service_needs("codepipeline artifacts", bucket=self.values["ArtifactBucket"], prefix=""),
            *(
                Need(f"kms:{name}", self.values["ArtifactKeyArn"], "codepipeline")
                for name in ("Decrypt", "GenerateDataKey")
            ),
        ]

    def sources(self, project: str) -> list[Need]:
        """What a build needs to take its source, and to keep a cache of its own."""
        bucket = self.values["ArtifactBucket"]
        return [
            *service_needs("codebuild source", bucket=bucket, prefix=""),
            *service_needs("codebuild artifacts", bucket=bucket, prefix=f"cache/{project}/"),
            *service_needs("codebuild artifact key", key=self.values["ArtifactKeyArn"]),
            *self.logs(f"/aws/codebuild/{SLUG}-{project}"),
        ]


def deployed(account: StandInAccount, answers: Mapping[str, str], **settings: str) -> Builds:
    """Deploy the builds and what they need."""
    return Builds.into(account, answers, (*BEFORE, *OURS), **settings)


@pytest.fixture
def answers() -> dict[str, str]:
    """Those that a test does not say otherwise."""
    return GITHUB


@pytest.fixture
def sources(rendering: Bake, tmp_path: Path, account: StandInAccount, answers: dict[str, str]) -> Path:
    """A project whose account is filled in, with environments, as CodePipeline hands it on: without a repository."""
    return configured(rendering(project_slug=SLUG, **answers), tmp_path, account=account.id)


Run = Callable[[Builds, str], Build]


@pytest.fixture
def run(account: StandInAccount, sources: Path, record: CallRecord, tmp_path: Path) -> Run:
    """Runs the build of a stage as the pipeline is deployed, but takes the environments to be up to date."""
    make = f'exec {shutil.which("make")} -o .venv/.complete -o .venv-dev/.complete "$@"'

    def build(stacks: Builds, stage: str) -> Build:
        action = stacks.action(stage)
        variables = json.loads(action.get("EnvironmentVariables", "[]").replace("#{source.CommitId}", COMMIT))
        [project] = account.client("codebuild").batch_get_projects(names=[action["ProjectName"]])["projects"]
        runner = BuildProject(
            account,
            record,
            project["serviceRole"],
            tmp_path / stage,
            {variable["name"]: variable["value"] for variable in variables},
            {"make": make},
        )
        return runner.build((sources / project["source"]["buildspec"]).read_text(), {"source": sources})

    return build


def upload(account: StandInAccount, content: bytes, name: str = "visits.csv.gz") -> None:
    account.client("s3").put_object(Bucket=NAMES.data_bucket, Key=f"{SLUG}/data/{name}", Body=content)


@pytest.mark.parametrize(
    "slug", [SLUG, "release", "cache", "a-b", "a" * 19, "a" * 20, "a" * 21, "a" * 32, "a" * 20 + "-b"]
)
def test_what_pipelines_hand_on_expires_whatever_the_project_is_called_and_a_release_does_not(slug: str) -> None:
    """CodePipeline names folders after the first 20 characters of a pipeline's name.

    https://github.com/awsdocs/aws-cloudformation-user-guide/pull/733
    """
    parsed = {name: parse(text) for name, text in texts({"project_slug": slug, "training_image": "custom"}).items()}
    written = {
        name: resolve(parsed[name], {**sample(parsed[name]), "ProjectName": slug})
        for name in ("cicd", "image", "build", "promotion")
    }
    rules = written["cicd"].resources["ArtifactBucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    [prefix] = [rule["Prefix"] for rule in rules if rule["Id"] == "artifacts"]
    pipelines = [
        said["Name"] for template in written.values() for _, said in template.properties("AWS::CodePipeline::Pipeline")
    ]
    assert len(pipelines) == 3
    for pipeline in pipelines:
        assert f"{pipeline[:20]}/source/0123456".startswith(prefix)
    assert not [kept for kept in ("release/project.zip", "cache/test/0") if kept.startswith(prefix)]


@each_source
def test_the_stacks_are_deployed_changed_by_nothing_and_deleted(
    account: StandInAccount, answers: dict[str, str]
) -> None:
    stacks = deployed(account, answers).stacks
    assert deploy.findings(account, [stacks[name] for name in OURS]) == []


@pytest.mark.parametrize(
    ("answers", "setting", "kind"),
    [(GITHUB, "ConnectionArn", "codeconnections"), (CODECOMMIT, "RepositoryArn", "codecommit")],
    ids=["connection", "repository"],
)
def test_a_source_that_exists_is_taken_and_none_is_made(
    account: StandInAccount, answers: dict[str, str], setting: str, kind: str
) -> None:
    last = "connection/01234567-89ab-cdef-0123-456789abcdef" if kind == "codeconnections" else "older"
    arn = f"arn:aws:{kind}:{account.region}:{account.id}:{last}"
    stacks = deployed(account, answers, **{setting: arn})
    assert stacks.values["SourceArn"] == arn
    assert not {"githubConnection", "Repository"} & deploy.physical_ids(account, f"{SLUG}-cicd").keys()
    assert stacks.action("Source").items() >= (
        {"ConnectionArn": arn, "FullRepositoryId": f"someone/{SLUG}"} if kind == "codeconnections"
        else {"RepositoryName": "older", "PollForSourceChanges": "false"}
    ).items()  # fmt: skip


@each_source
def test_the_pipeline_and_what_starts_it_may_do_what_they_do_and_nothing_more(
    account: StandInAccount, answers: dict[str, str]
) -> None:
    stacks = deployed(account, answers)
    place = {"region": account.region, "account": account.id}
    source = (
        service_needs("codepipeline connection", connection=stacks.values["SourceArn"])
        if answers == GITHUB
        else service_needs("codepipeline codecommit", repository=SLUG, bucket=stacks.values["ArtifactBucket"], **place)
    )
    builds = [
        need
        for name in ("test", "release", "compile")
        for need in service_needs("codepipeline build", project=f"{SLUG}-{name}", **place)
    ]
    assert stacks.judged("flow", [*source, *builds, *stacks.artifacts()]) == []
    reports = service_needs("codebuild reports", group=f"{SLUG}-test-pytest", **place)
    assert stacks.judged("test", [*stacks.sources("test"), *reports]) == []
    if answers == CODECOMMIT:
        started = service_needs("start codepipeline", pipeline=stacks.values["BuildPipeline"], **place)
        assert stacks.judged("start", started) == []


def commit(account: StandInAccount, **detail: str) -> dict[str, Any]:
    """The event of a commit, as CodeCommit documents it."""
    return {
        "source": "aws.codecommit",
        "detail-type": "CodeCommit Repository State Change",
        "resources": [f"arn:aws:codecommit:{account.region}:{account.id}:{SLUG}"],
        "detail": {
            "event": "referenceUpdated",
            "repositoryName": SLUG,
            "repositoryId": "12345678-1234-5678-abcd-12345678abcd",
            "referenceType": "branch",
            "referenceName": "main",
            "referenceFullName": "refs/heads/main",
            "commitId": COMMIT,
            "oldCommitId": "0" * 40,
            **detail,
        },
    }


def test_a_commit_to_the_branch_starts_the_pipeline_and_others_do_not(account: StandInAccount) -> None:
    stacks = deployed(account, CODECOMMIT)
    [delivery] = deliver(account, commit(account))
    pipeline = f"arn:aws:codepipeline:{account.region}:{account.id}:{SLUG}-build"
    assert (delivery.target, delivery.role) == (pipeline, stacks.role("start"))
    assert [each.rule for each in deliver(account, commit(account, event="referenceCreated"))] == [delivery.rule]
    for other in ({"referenceName": "feature"}, {"referenceType": "tag"}, {"event": "referenceDeleted"}):
        assert deliver(account, commit(account, **other)) == []


def test_a_push_to_the_branch_starts_the_pipeline(account: StandInAccount) -> None:
    build = deployed(account, GITHUB, BranchName="release").stacks["build"]
    trigger = build.template.resources["BuildPipeline"]["Properties"]["Triggers"][0]["GitConfiguration"]
    assert trigger == {"SourceActionName": "Source", "Push": [{"Branches": {"Includes": [{"Ref": "BranchName"}]}}]}
    assert build.parameters["BranchName"] == "release"


def test_a_failed_execution_is_reported_and_no_other_news(account: StandInAccount) -> None:
    stacks = deployed(account, GITHUB)
    pattern = stacks.rule(f"{SLUG}-failed-build")
    detail = {"pipeline": f"{SLUG}-build", "execution-id": "12345678-1234-5678-abcd-12345678abcd", "state": "FAILED"}
    event = {
        "source": "aws.codepipeline",
        "detail-type": "CodePipeline Pipeline Execution State Change",
        "region": account.region,
        "detail": detail,
    }
    assert patterns.matches(pattern, event)
    for other in ({"state": "SUCCEEDED"}, {"state": "STARTED"}, {"pipeline": "another-build"}):
        assert not patterns.matches(pattern, {**event, "detail": {**detail, **other}})
    [target] = account.client("events").list_targets_by_rule(Rule=f"{SLUG}-failed-build")["Targets"]
    assert target["Arn"] == stacks.values["TopicArn"]


def test_the_reports_of_a_build_go_to_the_group_of_the_stack(account: StandInAccount) -> None:
    stacks = deployed(account, GITHUB)
    [reports] = yaml.safe_load(buildspecs(GITHUB)["buildspecs/test.yml"])["reports"]
    [arn] = account.client("codebuild").list_report_groups()["reportGroups"]
    # https://docs.aws.amazon.com/codebuild/latest/userguide/report-create.html: one that exists is used.
    assert arn.endswith(f":report-group/{stacks.action('Test')['ProjectName']}-{reports}")


@pytest.mark.parametrize(
    ("scope", "stages"),
    [
        ("build-train-deploy", ["Source", "Test", "Release", "Compile"]),
        ("build-train", ["Source", "Test", "Compile"]),
        ("deploy", ["Source", "Test", "Release"]),
    ],
)
def test_a_project_compiles_if_it_trains_and_releases_if_it_deploys(scope: str, stages: list[str]) -> None:
    answers = {"project_scope": scope}
    pipeline = parse(texts(answers)["build"]).resources["BuildPipeline"]["Properties"]
    assert [stage["Name"] for stage in pipeline["Stages"]] == stages
    written = buildspecs(answers)
    assert [name for name, text in written.items() if list(buildspec_schema.faults(text))] == []
    released = {Path(name).stem for name, text in written.items() if "mlops publish" in text}
    assert released == {stage.lower() for stage in stages if stage == "Release"}


@pytest.mark.parametrize("answers", [GITHUB, DEPLOYS_ONLY], ids=label)
def test_what_was_tested_is_released(
    account: StandInAccount, run: Run, sources: Path, record: CallRecord, answers: dict[str, str]
) -> None:
    stacks = deployed(account, answers)
    done = run(stacks, "Release")
    assert done.succeeded, done.phases
    assert done.findings == []
    body = account.client("s3").get_object(Bucket=NAMES.of("cicd"), Key="release/project.zip")["Body"].read()
    with zipfile.ZipFile(BytesIO(body)) as archive:
        released = {name: archive.read(name) for name in archive.namelist()}
    assert released == {
        path.relative_to(sources).as_posix(): path.read_bytes()
        for path in sources.rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(sources).parts)
    }
    calls = [call for call in record.calls() if call.role == stacks.role("rel")]
    assert stacks.judged("rel", [*needs(calls, keys(account)), *stacks.sources("release")]) == []


@pytest.mark.parametrize("answers", rest_at_night([GITHUB, CODECOMMIT]), ids=label)
def test_a_commit_is_compiled_checked_and_trained_on(
    account: StandInAccount, run: Run, sources: Path, record: CallRecord, answers: dict[str, str]
) -> None:
    stacks = deployed(account, answers)
    account.client("ssm").put_parameter(Name=f"/{SLUG}/image", Value="sha256:" + "0" * 64, Type="String")
    upload(account, (sources / "data/raw/visits.csv.gz").read_bytes())
    done = run(stacks, "Compile")
    assert done.succeeded, done.phases
    assert done.findings == []
    sagemaker = account.client("sagemaker")
    described = sagemaker.describe_pipeline(PipelineName=PIPELINE)
    assert COMMIT in described["PipelineDefinition"]
    [execution] = sagemaker.list_pipeline_executions(PipelineName=PIPELINE)["PipelineExecutionSummaries"]
    assert done.exported["EXECUTION_ARN"] == execution["PipelineExecutionArn"]
    given = sagemaker.list_pipeline_parameters_for_execution(PipelineExecutionArn=execution["PipelineExecutionArn"])
    values = {entry["Name"]: entry["Value"] for entry in given["PipelineParameters"]}
    assert values == {"RunReason": f"commit {COMMIT}"}

    # A later commit, of which the pipelines also lost their tags: what else the role may do.
    for pipeline in (PIPELINE, f"{SLUG}-monitoring"):
        arn = sagemaker.describe_pipeline(PipelineName=pipeline)["PipelineArn"]
        sagemaker.delete_tags(ResourceArn=arn, TagKeys=["sagemaker:project-name"])
    configured = sources / "config/base.yaml"
    changed = configured.read_text().replace("learning_rate: 0.1", "learning_rate: 0.2")
    configured.write_text(changed.replace("max_distance: 0.1", "max_distance: 0.2"))
    again = run(stacks, "Compile")
    assert again.succeeded, again.phases
    assert again.exported["DEFINITION_SHA256"] != done.exported["DEFINITION_SHA256"]

    calls = [call for call in record.calls() if call.role == stacks.role("build")]
    assert stacks.judged("build", [*needs(calls, keys(account)), *stacks.sources("compile")]) == []
    checks = [call for call in record.calls() if call.role == stacks.role("check")]
    log = stacks.logs(f"/aws/lambda/{SLUG}-validate-data")
    assert stacks.judged("check", [*needs(checks, keys(account)), *log]) == []


def test_data_that_does_not_fit_stops_the_build_before_training(
    account: StandInAccount, run: Run, answers: dict[str, str]
) -> None:
    stacks = deployed(account, answers)
    upload(account, b"person,year\n1,1\n", "bad.csv")
    done = run(stacks, "Compile")
    assert not done.succeeded
    said = done.phases[-1].output
    assert f"{SLUG}/data/bad.csv: columns site, coinsurance" in said
    assert "and 7 more: missing [missing_column]" in said
    assert "src/model/schema.py" in said
    executions = account.client("sagemaker").list_pipeline_executions(PipelineName=PIPELINE)
    assert executions["PipelineExecutionSummaries"] == []
    assert done.exported == {}


def test_the_tests_are_run_and_reported(account: StandInAccount, run: Run, answers: dict[str, str]) -> None:
    done = run(deployed(account, answers), "Test")
    assert done.succeeded, done.phases
    assert " passed" in done.phases[-1].output


def approved(account: StandInAccount) -> str:
    """An approved version; its ARN."""
    made = account.client("sagemaker").create_model_package(
        ModelPackageGroupName=SLUG,
        ModelApprovalStatus="Approved",
        InferenceSpecification={
            "Containers": [{"Image": "image", "ModelDataUrl": f"s3://{NAMES.of('model')}/champion/model.tar.gz"}],
            "SupportedContentTypes": ["text/csv"],
            "SupportedResponseMIMETypes": ["text/csv"],
        },
    )
    arn: str = made["ModelPackageArn"]
    return arn

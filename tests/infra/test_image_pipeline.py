import json
import re
import shlex
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.ecr.exceptions import ScanNotFoundException
from moto.ecr.models import ECRBackend

from mlops.base.errors import MlopsError
from mlops.cli.main import main
from mlops.pipeline import bundle
from mlops.pipeline.definition import Definition
from mlops.project import image
from mlops.project.project import Project
from mlops.project.target import Target
from standin import deploy, patterns
from standin.account import ACCOUNT, REGION, StandInAccount
from standin.buildspecs import Build, BuildProject
from standin.calls import CallRecord
from standin.deploy import Stack
from standin.iam import role_policies
from standin.needs import Need, needs
from standin.policies import findings
from standin.service_side import service_needs
from standin.template import Template, load, resolve
from tests.infra.rendered import ID, OWN_IMAGE, configure, configured
from tests.infra.rendered import SLUG as NAME
from tests.places import PLACE
from tests.projects import Bake, mlops

KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/00000000-0000-4000-8000-000000000000"
CICD = f"sagemaker-{NAME}-{ID}-cicd"
SOURCES = {
    "github": {
        "SourceArn": f"arn:aws:codeconnections:{REGION}:{ACCOUNT}:connection/00000000-0000-4000-8000-000000000000",
        "Repository": "someone/visits",
        "BranchName": "main",
    },
    "codecommit": {"SourceArn": f"arn:aws:codecommit:{REGION}:{ACCOUNT}:{NAME}", "BranchName": "main"},
}
PARAMETER, BUILD_PIPELINE = f"/{NAME}/image", f"{NAME}-build"
PINNED, NEWEST, OLDER = (f"sha256:{digit * 64}" for digit in "abc")

# What `docker push` does to the registry.
PUSH = """
import boto3, json, sys
ecr = boto3.client("ecr")
repository, tag = sys.argv[1].partition("/")[2].split(":")
manifest = {"mediaType": "application/vnd.oci.image.manifest.v1+json", "layers": [{"digest": tag, "size": 1}]}
ecr.put_image(repositoryName=repository, imageManifest=json.dumps(manifest), imageTag=tag)
"""
DOCKER = f"""
case $1 in
  push) env -u PYTHONPATH {shlex.quote(sys.executable)} -c {shlex.quote(PUSH)} "$2" ;;
  login) cat > /dev/null ;;
  run) [ ! -e untried ] ;;
esac
"""


@pytest.fixture(scope="module", params=SOURCES)
def git_provider(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def project_of(rendering: Bake) -> Callable[[str], Path]:
    """A function that gives the project with an image of its own for a git provider. Do not change it."""
    return lambda provider: rendering(**OWN_IMAGE, git_provider=provider)


def stack_of(project: Path, provider: str, **parameters: str) -> Stack:
    given = {
        "ProjectName": NAME, "ProjectId": ID, "ImageRepository": NAME, "ArtifactBucket": CICD, "ArtifactKeyArn": KEY,
        "BuildImage": "aws/codebuild/amazonlinux-x86_64-standard:5.0", **SOURCES[provider], **parameters,
    }  # fmt: skip
    return Stack(f"{NAME}-image", load(project / "infra/image.yaml"), given)


@pytest.fixture
def stack(project_of: Callable[[str], Path], git_provider: str) -> Stack:
    return stack_of(project_of(git_provider), git_provider)


def test_it_is_deployed_twice_and_leaves_nothing(account: StandInAccount, stack: Stack) -> None:
    assert deploy.findings(account, [stack]) == []


def resolved(stack: Stack) -> Template:
    return resolve(stack.template, {"AWS::AccountId": ACCOUNT, "AWS::Region": REGION, **stack.parameters})


def test_a_push_that_changes_what_an_image_is_made_of_starts_it(project_of: Callable[[str], Path]) -> None:
    ((_, pipeline),) = resolved(stack_of(project_of("github"), "github")).properties("AWS::CodePipeline::Pipeline")
    (push,) = pipeline["Triggers"][0]["GitConfiguration"]["Push"]
    assert push["Branches"] == {"Includes": ["main"]}
    dockerfile = (project_of("github") / "container/Dockerfile").read_text()
    copied = [re.split(r"[ /]", line)[1] for line in dockerfile.splitlines() if line.startswith("COPY")]
    assert push["FilePaths"]["Includes"] == ["Makefile", *(f"{folder}/**" for folder in ("container", *copied))]


def test_a_push_to_the_branch_in_codecommit_starts_it(project_of: Callable[[str], Path]) -> None:
    template = resolved(stack_of(project_of("codecommit"), "codecommit", BranchName="trunk"))
    ((_, rule),) = template.properties("AWS::Events::Rule")
    event = {
        "source": "aws.codecommit",
        "detail-type": "CodeCommit Repository State Change",
        "resources": [SOURCES["codecommit"]["SourceArn"]],
        "detail": {"event": "referenceUpdated", "referenceType": "branch", "referenceName": "trunk"},
    }
    assert patterns.matches(rule["EventPattern"], event)
    for other in ({"referenceName": "feature"}, {"referenceType": "tag"}, {"event": "referenceDeleted"}):
        assert not patterns.matches(rule["EventPattern"], {**event, "detail": {**event["detail"], **other}})  # type: ignore[dict-item]


class ImageBuild:
    """The build of the image in a stand-in account with a repository and a build pipeline."""

    def __init__(self, account: StandInAccount, record: CallRecord, project: Path, folder: Path) -> None:
        self.account, self.record = account, record
        self.source = Path(shutil.copytree(project, folder / "source"))
        self.project = account.client("codebuild").batch_get_projects(names=[f"{NAME}-image"])["projects"][0]
        self.role: str = self.project["serviceRole"]
        self.runner = BuildProject(
            account, record, self.role, folder / "builds", self.variables, {"docker": DOCKER, "sleep": ""}
        )

    @property
    def variables(self) -> Mapping[str, str]:
        return {each["name"]: each["value"] for each in self.project["environment"]["environmentVariables"]}

    def run(self) -> Build:
        # The stages of the pipeline that it starts are another's; moto runs none.
        return self.runner.build((self.source / self.project["source"]["buildspec"]).read_text(), {"s": self.source})

    @property
    def newest(self) -> str:
        answer = self.account.client("ssm").get_parameter(Name=PARAMETER)
        return str(answer["Parameter"]["Value"])

    @property
    def started(self) -> int:
        return sum(call.operation == "StartPipelineExecution" for call in self.record.calls())

    def pushes(self, build: Build) -> list[str]:
        return [words[2] for words in build.commands if words[:2] == ["docker", "push"]]


@pytest.fixture
def image_build(
    account: StandInAccount, record: CallRecord, project_of: Callable[[str], Path], tmp_path: Path
) -> ImageBuild:
    project = project_of("github")

    def prepare() -> None:
        deploy.put(account, stack_of(project, "github"))
        account.client("ecr").create_repository(repositoryName=NAME)
        codepipeline = account.client("codepipeline")
        declared = codepipeline.get_pipeline(name=f"{NAME}-image")["pipeline"]
        codepipeline.create_pipeline(pipeline={**declared, "name": BUILD_PIPELINE})

    account.cloud.once("the build of an image", prepare)
    return ImageBuild(account, record, project, tmp_path)


@pytest.fixture
def statuses() -> list[str]:
    """The status of the scan of every image, from one question to the next; the last one stays.

    A push registers its scan some time later, and until then ECR knows of none.
    https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_DescribeImageScanFindings.html
    """
    return ["not found", "PENDING", "IN_PROGRESS", "COMPLETE"]


@pytest.fixture
def scan(statuses: list[str], monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """What the scan of every image finds, by severity."""
    found: dict[str, int] = {}
    asked: Counter[str] = Counter()

    def findings_of(_: ECRBackend, registry_id: str, repository_name: str, image_id: Mapping[str, str]) -> Any:
        digest = image_id["imageDigest"]
        status = statuses[min(asked[digest], len(statuses) - 1)]
        asked[digest] += 1
        if status == "not found":
            raise ScanNotFoundException(digest, repository_name, registry_id)
        answer: dict[str, Any] = {"imageScanStatus": {"status": status, "description": f"It is {status.lower()}."}}
        if status == "COMPLETE":
            answer["imageScanFindings"] = {"findingSeverityCounts": found, "findings": []}
        return answer

    monkeypatch.setattr(ECRBackend, "describe_image_scan_findings", findings_of)
    return found


def test_an_image_is_built_tried_pushed_scanned_promoted_and_used(
    image_build: ImageBuild, scan: dict[str, int]
) -> None:
    scan.update(HIGH=3, MEDIUM=9)
    assert image_build.newest == "none"
    build = image_build.run()
    assert build.succeeded, build.phases
    assert image_build.newest == build.exported["DIGEST"]
    assert re.fullmatch("sha256:[0-9a-f]{64}", image_build.newest)
    did = [words[1] for words in build.commands if words[0] == "docker"]
    assert did == ["build", "run", "login", "push"]
    name = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/{NAME}:"
    assert all(pushed.startswith(name) for pushed in image_build.pushes(build))
    built, tried = (words for words in build.commands if words[1] in ("build", "run"))
    assert built[-1] == "."
    assert built[built.index("--file") + 1] == "container/Dockerfile"
    assert tried[-3:] == [image_build.pushes(build)[0], "check", "/code"]
    assert image_build.started == 1


def test_the_same_sources_are_built_once(image_build: ImageBuild, scan: dict[str, int]) -> None:
    first = image_build.run()
    (image_build.source / "src/model/algorithm.py").write_text("changed\n")
    second = image_build.run()
    assert second.succeeded, second.phases
    assert (len(image_build.pushes(first)), image_build.pushes(second)) == (1, [])
    assert second.exported == first.exported
    assert image_build.started == 1


def test_going_back_to_older_sources_promotes_their_image_again(image_build: ImageBuild, scan: dict[str, int]) -> None:
    path = image_build.source / "container/Dockerfile"
    before = path.read_text()
    first = image_build.run().exported["DIGEST"]
    path.write_text(before + "ENV MORE=1\n")
    second = image_build.run().exported["DIGEST"]
    assert (second != first, image_build.newest) == (True, second)
    path.write_text(before)
    third = image_build.run()
    assert (image_build.newest, image_build.pushes(third), image_build.started) == (first, [], 3)


@pytest.mark.parametrize(("fails_on", "severity"), [("CRITICAL", "CRITICAL"), ("CRITICAL,HIGH", "HIGH")])
def test_a_finding_of_a_severity_that_is_said_keeps_an_image_from_promotion(
    image_build: ImageBuild, scan: dict[str, int], fails_on: str, severity: str
) -> None:
    scan[severity] = 1
    image_build.runner.variables = {**image_build.variables, "SCAN_FAILS_ON": fails_on}
    build = image_build.run()
    assert not build.succeeded
    assert f"found 1 of {fails_on}, so the image is not promoted" in build.phases[-1].output
    assert (len(image_build.pushes(build)), image_build.newest, image_build.started) == (1, "none", 0)


@pytest.mark.parametrize(
    "status",
    ["UNSUPPORTED_IMAGE", "FAILED", "ACTIVE", "PENDING", pytest.param("not found", marks=pytest.mark.nightly)],
)
def test_an_image_that_ecr_does_not_scan_is_not_promoted_and_the_build_says_why(
    image_build: ImageBuild, statuses: list[str], scan: dict[str, int], status: str
) -> None:
    statuses[:] = ["PENDING", status]
    build = image_build.run()
    assert not build.succeeded
    said = "ScanNotFoundException" if status == "not found" else f"{status}\tIt is {status.lower()}."
    assert re.search(
        f"The scan of sha256:.* did not complete, so the image is not promoted: .*{said}",
        build.phases[-1].output,
    )
    assert (image_build.newest, image_build.started) == ("none", 0)


def test_an_image_that_does_not_stand_its_trial_is_not_pushed(image_build: ImageBuild, scan: dict[str, int]) -> None:
    (image_build.source / "untried").touch()
    build = image_build.run()
    assert not build.succeeded
    assert [phase.name for phase in build.phases] == ["pre_build", "build"]
    assert (image_build.pushes(build), image_build.newest, image_build.started) == ([], "none", 0)


def test_the_build_s_role_may_do_what_it_does_and_nothing_more(image_build: ImageBuild, scan: dict[str, int]) -> None:
    assert image_build.run().succeeded
    names = {
        "region": REGION,
        "account": ACCOUNT,
        "bucket": CICD,
        "prefix": f"{NAME}-image/Source/",
        "repository": NAME,
    }
    wanted = [
        *needs(call for call in image_build.record.calls() if call.role == image_build.role),
        *service_needs("codebuild logs", **names, log_group=f"/aws/codebuild/{NAME}-image"),
        *service_needs("codebuild source", **names),
        *service_needs("docker push", **names),
        *service_needs("codebuild artifact key", key=KEY),
    ]
    allowed = role_policies(image_build.account.client("iam"), image_build.role)
    assert findings("image", allowed, wanted, [NAME, ID, ACCOUNT]) == []


def test_the_pipeline_s_roles_may_do_what_they_need_and_nothing_more(
    account: StandInAccount, stack: Stack, git_provider: str
) -> None:
    deploy.put(account, stack)
    role = f"arn:aws:iam::{ACCOUNT}:role/sagemaker-{NAME}-{ID}"
    names = {"region": REGION, "account": ACCOUNT, "bucket": CICD, "prefix": f"{NAME}-image/Source/"}
    provider = {"github": "connection", "codecommit": "codecommit"}[git_provider]
    wanted = [
        *service_needs("codepipeline artifacts", **names),
        *service_needs("codepipeline build", **names, project=f"{NAME}-image"),
        *service_needs(
            f"codepipeline {provider}", **names, connection=SOURCES[git_provider]["SourceArn"], repository=NAME
        ),
        *(Need(f"kms:{action}", KEY, "codepipeline artifacts") for action in ("Decrypt", "GenerateDataKey")),
    ]
    own = [NAME, ID, ACCOUNT]
    iam = account.client("iam")
    assert findings("imgcp", role_policies(iam, f"{role}-imgcp"), wanted, own) == []
    if git_provider == "codecommit":
        starts = service_needs("start codepipeline", region=REGION, account=ACCOUNT, pipeline=f"{NAME}-image")
        assert findings("imgev", role_policies(iam, f"{role}-imgev"), starts, own) == []


@pytest.fixture
def dev(project_of: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with an image of its own whose dev account is filled in."""
    project = configured(project_of("github"), tmp_path, account=ACCOUNT, **PLACE)
    monkeypatch.chdir(project)
    return project


@pytest.fixture
def ssm(with_bucket: StandInAccount) -> Any:
    return with_bucket.client("ssm")


def images(definition: Mapping[str, Any]) -> set[str]:
    """Every image that a definition names, wherever that is."""
    return set(re.findall(r'"((?:[0-9]{12})\.dkr\.ecr\.[^"]+)"', json.dumps(definition)))


def own(digest: str) -> str:
    return f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/{NAME}@{digest}"


@pytest.mark.slow
def test_jobs_packages_and_lineage_name_the_image_that_is_pinned(dev: Path) -> None:
    configure(dev, image_digest=PINNED)
    compiled = bundle.current(Target(Project(dev), "dev"))
    assert images(compiled.definition) == {own(PINNED)}
    for name in ("RegisterModel", "RegisterForReview"):
        register = Definition(compiled.definition).steps[name].arguments
        assert register["InferenceSpecification"]["Containers"][0]["Image"] == own(PINNED)
        assert register["CustomerMetadataProperties"]["TrainingImage"] == own(PINNED)
    assert (compiled.manifest["image_digest"], compiled.manifest["images"]) == (PINNED, [own(PINNED)])


@pytest.mark.slow
def test_the_newest_image_is_looked_up_by_upsert_and_kept_to_until_the_next_one(dev: Path, ssm: Any) -> None:
    ssm.put_parameter(Name=PARAMETER, Value=OLDER, Type="String")
    assert main(["upsert", "--environment", "dev"]) == 0
    ssm.put_parameter(Name=PARAMETER, Value=NEWEST, Overwrite=True)
    assert images(bundle.current(Target(Project(dev), "dev")).definition) == {own(OLDER)}
    assert main(["upsert", "--environment", "dev"]) == 0
    described = boto3.client("sagemaker", REGION).describe_pipeline(PipelineName=f"{NAME}-training")
    assert images(json.loads(described["PipelineDefinition"])) == {own(NEWEST)}


@pytest.mark.slow
def test_a_pinned_image_wins_over_the_newest(dev: Path, ssm: Any) -> None:
    ssm.put_parameter(Name=PARAMETER, Value=NEWEST, Type="String")
    assert main(["upsert", "--environment", "dev"]) == 0
    configure(dev, image_digest=PINNED)
    assert main(["upsert", "--environment", "dev"]) == 0
    described = boto3.client("sagemaker", REGION).describe_pipeline(PipelineName=f"{NAME}-training")
    assert images(json.loads(described["PipelineDefinition"])) == {own(PINNED)}


@pytest.mark.parametrize("value", [None, "none"])
def test_upsert_before_there_is_an_image_says_what_to_do(
    dev: Path, ssm: Any, capsys: pytest.CaptureFixture[str], value: str | None
) -> None:
    if value:
        ssm.put_parameter(Name=PARAMETER, Value=value, Type="String")
    assert main(["upsert", "--environment", "dev"]) == 1
    said = capsys.readouterr().err
    assert "no image has been built yet" in said
    assert "deploy --environment dev --stack image" in said
    assert f"{NAME}-image" in said


def test_compiling_for_the_newest_image_before_anybody_asked_for_it_says_what_to_do(
    dev: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compile", "--environment", "dev"]) == 2
    said = capsys.readouterr().err
    assert "has not been looked up yet" in said
    assert "mlops upsert --environment dev" in said
    assert "image_digest: sha256:..." in said


@pytest.mark.parametrize("value", ["latest", "sha256:abc", f"{PINNED}0"])
def test_what_is_no_digest_is_refused(dev: Path, value: str) -> None:
    configure(dev, image_digest=value)
    with pytest.raises(MlopsError, match="Use `newest`, or sha256:"):
        image.digest(Target(Project(dev), "dev"))


@pytest.mark.slow
def test_here_jobs_run_without_the_image(dev: Path) -> None:
    mlops(dev, "run")
    assert "succeeded" in mlops(dev, "runs").stdout.lower()


def test_a_project_with_aws_s_images_takes_none_of_its_own(project: Path) -> None:
    assert image.digest(Target(Project(project), "local")) is None
    assert bundle.current(Target(Project(project), "local")).manifest["image_digest"] is None

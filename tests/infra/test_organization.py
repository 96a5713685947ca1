"""Roles, resources and events of a project each of whose parts has an account of its own."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlops.deployment import capacity
from mlops.project.project import Project
from mlops.project.stacks import placed
from mlops.project.target import Target
from mlops.registry.promotion import START
from mlops.registry.sagemaker import AwsRegistry
from standin.account import REGION, Cloud
from standin.attached import resource_policies
from standin.buildspecs import BuildProject
from standin.calls import CallRecord
from standin.lambdas import deliver, invoke, real_handlers
from standin.needs import Need
from standin.principals import account_of
from standin.queues import drain, waiting
from standin.reach import Walk
from standin.service_side import service_needs
from tests.answers import label, meant, rest_at_night
from tests.infra import people, shipping
from tests.infra import test_base_stacks as base_stacks
from tests.infra.monitoring import alarm_rings
from tests.infra.organization import ACCOUNTS, deployed, filled_in
from tests.infra.promoting import Actions, FromRegistry, Promotion
from tests.infra.rendered import SLUG
from tests.infra.retraining import GATE_FAILED, QUEUE, Retraining
from tests.infra.several_accounts import AWS_IMAGES, Part
from tests.infra.test_promotion_buildspecs import remove_functions, started
from tests.projects import Bake

ANSWERS: list[dict[str, str]] = [
    {"team_size": "large"},
    {"account_layout": "organization", "inference": "batch", "framework": "pytorch", "monitoring": "off"},
]
each_answer = pytest.mark.parametrize("answers", rest_at_night(ANSWERS), ids=label)
of_large = pytest.mark.parametrize("answers", ANSWERS[:1], ids=label)
DUE = f"{SLUG}-production-retraining-due"


@pytest.fixture
def project(rendering: Bake, tmp_path: Path, answers: dict[str, str]) -> Path:
    return filled_in(rendering(project_slug=SLUG, **answers), tmp_path)


@pytest.fixture
def parts(
    cloud: Cloud, record: CallRecord, project: Path, answers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, Part]]:
    """The project in its accounts, whose functions run."""
    found = deployed(cloud, project, monkeypatch, answers)
    with real_handlers(cloud, record):
        yield found


@each_answer
def test_each_stack_is_deployed_to_the_account_of_its_part(
    parts: dict[str, Part], project: Path, answers: dict[str, str]
) -> None:
    found = {
        (stack["StackName"].removeprefix(f"{SLUG}-"), name)
        for name, part in parts.items()
        for stack in part.account.client("cloudformation").describe_stacks()["Stacks"]
    }
    assert found == {(one.stack.name, one.account) for one in placed(project, "dev", "organization")}


@of_large
def test_runs_use_quotas_of_operations_and_of_experimentation(project: Path, answers: dict[str, str]) -> None:
    target = Target(Project(project), "dev")
    for name, number in ACCOUNTS.items():
        used = {use.stack for use in capacity.uses(target, number) if "training job" in use.quota}
        assert used == {"operations": {"execution"}, "experimentation": {"experiments"}}.get(name, set()), name


def training(parts: dict[str, Part], answers: dict[str, str]) -> base_stacks.Deployed:
    """The stacks of the training pipeline, as the needs of their roles are said."""
    lake, artifacts, operations = (parts[name].values for name in ("data-lake", "artifacts", "operations"))
    known = {
        **operations,
        "MessageKeyArn": operations["DataKeyArn"],
        **{key: lake[key] for key in ("DataBucket", "DataKeyArn")},
        **{key: value for key, value in artifacts.items() if key.startswith(("Model", "Image"))},
    }
    return base_stacks.Deployed(
        {**answers, "training_image": meant(answers)["__training_image"]},
        known,
        {},
        account=parts["operations"].account.id,
        registry=parts["artifacts"].account.id,
        id=parts["operations"].names.id,
    )


@each_answer
def test_what_trains_may_do_what_it_needs_in_each_account_and_nothing_more(
    parts: dict[str, Part], answers: dict[str, str]
) -> None:
    stacks = training(parts, answers)
    group = f"arn:aws:sagemaker:{REGION}:{stacks.registry}:model-package/{SLUG}/1"
    for role in ("pipe", "pipef", "sweep", "ssched"):
        found = getattr(base_stacks, role)(stacks)
        needs = {(need.action, need.resource, *need.context.items()): need for need in found}.values()
        shared = [
            replace(need, shared=group) if need.action == "sagemaker:ListModelPackages" else need for need in needs
        ]
        assert "\n".join(parts["operations"].judged(role, shared)) == "", role


@each_answer
def test_experiments_may_do_what_they_need_and_nothing_more(parts: dict[str, Part], answers: dict[str, str]) -> None:
    lake, artifacts, own = (parts[name] for name in ("data-lake", "artifacts", "experimentation"))
    stacks = training(parts, answers)
    place = {"region": REGION, "account": own.account.id}
    pipe = [
        *service_needs("sagemaker pipeline jobs", **place),
        *service_needs("sagemaker pipeline passes", role=own.role("pipe")),
        *service_needs("sagemaker image", **stacks.image(0)),
        *service_needs("volume encryption", key=own.values["DataKeyArn"]),
        *service_needs("sagemaker job output", bucket=own.values["DataBucket"], prefix=f"{SLUG}/runs/1/Step/"),
        *service_needs("sagemaker job input", bucket=own.values["DataBucket"], prefix=""),
        *service_needs("object encryption", region=REGION, key=own.values["DataKeyArn"]),
        *service_needs("job output key", key=own.values["DataKeyArn"]),
    ]
    for function in base_stacks.FUNCTIONS:
        pipe += service_needs("sagemaker pipeline calls", **place, function=function)
    for kind in ("ProcessingJobs", "TrainingJobs"):
        pipe += service_needs("sagemaker job logs", **place, log_group=f"/aws/sagemaker/{kind}")
        pipe += service_needs("sagemaker metrics", kind=kind)
    for bucket, key, prefix in (
        (lake.values["DataBucket"], lake.values["DataKeyArn"], f"{SLUG}/data/"),
        (artifacts.values["ModelBucket"], artifacts.values["ModelKeyArn"], f"{SLUG}/runs/1/Train/"),
    ):
        pipe += service_needs("sagemaker job input", bucket=bucket, prefix=prefix)
        pipe += service_needs("object encryption", region=REGION, key=key)[:1]
    assert "\n".join(own.judged("pipe", pipe)) == ""
    version = f"arn:aws:sagemaker:{REGION}:{artifacts.account.id}:model-package/{SLUG}/1"
    manifest = f"arn:aws:s3:::{own.values['DataBucket']}/{SLUG}/data-versions/1.json"
    pipef = [
        Need("s3:ListBucketVersions", f"arn:aws:s3:::{lake.values['DataBucket']}", "the objects of the data"),
        Need("s3:PutObject", manifest, "their manifest"),
        *service_needs("object encryption", region=REGION, key=own.values["DataKeyArn"])[1:],
        Need("sagemaker:ListModelPackages", "*", "the champion", shared=version),
        Need("sagemaker:DescribeModelPackage", version, "the champion"),
    ]
    for function in base_stacks.FUNCTIONS:
        pipef += service_needs("lambda logs", **place, log_group=f"/aws/lambda/{function}")
    assert "\n".join(own.judged("pipef", pipef)) == ""


@pytest.mark.slow
@of_large
def test_a_data_scientist_submits_and_starts_an_experiment_with_the_rights_that_the_table_gives(
    parts: dict[str, Part], project: Path, record: CallRecord, tmp_path: Path, answers: dict[str, str]
) -> None:
    own, lake = parts["experimentation"], parts["data-lake"]
    path = project / "config/experimentation.yaml"
    path.write_text(path.read_text().replace("image_digest: newest", f"image_digest: sha256:{'1' * 64}"))
    runner = BuildProject(own.account, record, own.role("ds"), tmp_path / "shell", {})
    command = ".venv/bin/python -m mlops upsert --environment experimentation --start --json"
    text = json.dumps({"version": 0.2, "phases": {"build": {"commands": [command]}}})
    done = runner.build(text, {"source": project})
    assert (done.succeeded, done.findings) == (True, []), done.phases
    described = own.account.client("sagemaker").describe_pipeline(PipelineName=f"{SLUG}-training")
    definition = described["PipelineDefinition"]
    assert described["RoleArn"] == own.role("pipe")
    assert "RegisterModel" not in definition
    assert f"s3://{lake.values['DataBucket']}/{SLUG}/data/" in definition
    assert parts["artifacts"].values["ModelBucket"] not in definition


def promotion_of(parts: dict[str, Part]) -> FromRegistry:
    """The deploy pipeline, and the registry whose decisions it follows."""
    values = {**parts["artifacts"].values, **parts["cicd"].values}
    return FromRegistry(parts["cicd"].account, {}, values, registry=parts["artifacts"].account)


@of_large
def test_an_approval_in_the_artifacts_account_is_deployed_from_the_cicd_account_once(
    parts: dict[str, Part], record: CallRecord
) -> None:
    promotion = promotion_of(parts)
    first, second = promotion.register(), promotion.register()
    late = promotion.approve(first)
    approved = promotion.approve(second)
    assert promotion.deliver(approved)["outcome"] == START
    assert promotion.stamp(second)
    for event in (approved, late):  # twice, and after a later one
        assert promotion.deliver(event)["outcome"] != START
    assert [package for package, _ in promotion.executions()] == [second]
    assert promotion.deliver(promotion.reject(second))["outcome"] == START
    assert [package for package, _ in promotion.executions()] == [second, first]
    promotion.deliver(promotion.reject(first))
    cicd = parts["cicd"]
    place = {"region": REGION, "account": cicd.account.id}
    queue = {"queue": f"{SLUG}-promote-undelivered", "key": cicd.values["DataKeyArn"]}
    live = f"arn:aws:ssm:{REGION}:{cicd.account.id}:parameter/{SLUG}/live/production"
    calls = [call for call in record.calls() if call.role == cicd.role("promo")]
    wanted = [
        *resource_policies().needs(calls),
        *service_needs("lambda logs", **place, log_group=f"/aws/lambda/{SLUG}-promote"),
        *service_needs("lambda dead letters", **place, **queue),
        Need("ssm:GetParameters", live, "what is live"),
    ]
    assert "\n".join(cicd.judged("promo", wanted)) == ""
    approval = Need("sagemaker:UpdateModelPackage", second, "", {"sagemaker:ModelApprovalStatus": "Approved"})
    assert not resource_policies().open(cicd.role("promo"), approval)


@of_large
def test_decisions_that_the_cicd_account_does_not_take_are_kept_and_told(parts: dict[str, Part]) -> None:
    promotion = promotion_of(parts)
    bus = parts["cicd"].account.client("events")
    [statement] = json.loads(bus.describe_event_bus()["Policy"])["Statement"]
    bus.remove_permission(StatementId=statement["Sid"])
    [sent] = deliver(parts["artifacts"].account, promotion.approve(promotion.register()))
    assert sent.error
    [kept] = waiting(parts["artifacts"].account, f"{SLUG}-events-undelivered")
    assert json.loads(kept)["detail"]["ModelApprovalStatus"] == "Approved"


@of_large
def test_drift_and_new_data_retrain_in_the_operations_account_once(parts: dict[str, Part], record: CallRecord) -> None:
    operations, lake = parts["operations"], parts["data-lake"]
    project = Retraining(operations.account, {}, operations.values)
    project.upsert()
    [arrived] = Retraining(lake.account, {}, lake.values).upload("january.csv")
    due = {**alarm_rings(DUE), "resources": [f"arn:aws:cloudwatch:{REGION}:{ACCOUNTS['production']}:alarm:{DUE}"]}
    for event, origin in ((due, "production"), (due, "production"), (arrived, "data-lake"), (arrived, "data-lake")):
        [sent, received] = deliver(parts[origin].account, event)  # an event may come twice
        assert (sent.error, received.account) == ("", operations.account.id)
    project.decide()
    [parameters] = project.executions().values()
    assert parameters["RunReason"] == f"drift: alarm {DUE}"
    assert len(project.decisions()) == 2
    for name in (
        "staging",
        "artifacts",
        "cicd",
        "operations",
        "experimentation",
    ):
        for event in (due, arrived):
            assert [one for one in deliver(parts[name].account, event) if ":sqs:" in one.target] == [], name
    assert list(drain(operations.account, QUEUE)) == []


@of_large
def test_the_function_of_retraining_may_do_what_it_needs_in_each_account_and_nothing_more(
    parts: dict[str, Part], record: CallRecord
) -> None:
    operations, lake = parts["operations"], parts["data-lake"]
    promotion_of(parts).register()
    project = Retraining(operations.account, {}, operations.values)
    project.upsert()
    Retraining(lake.account, {}, lake.values).upload("january.csv")
    function = operations.account.client("lambda").get_function_configuration(FunctionName=f"{SLUG}-retraining")
    for number in range(int(function["Environment"]["Variables"]["FAILED_GATES"])):  # which suspend retraining
        project.send("manual", id=f"{number}", reason="a try", force=True)
        project.decide()
        project.send_event(project.end("Failed", GATE_FAILED))
        project.decide()
    calls = [call for call in record.calls() if call.role == operations.role("retr")]
    place = {"region": REGION, "account": operations.account.id}
    wanted = [
        *resource_policies().needs(calls),
        *service_needs("lambda logs", **place, log_group=f"/aws/lambda/{SLUG}-retraining"),
        *service_needs("lambda reads a queue", **place, queue=QUEUE),
        *service_needs("lambda reads an encrypted queue", key=operations.values["DataKeyArn"], region=REGION),
        *service_needs("object encryption", region=REGION, key=lake.values["DataKeyArn"]),
    ]
    assert "\n".join(operations.judged("retr", wanted)) == ""


@of_large
def test_only_builds_enter_other_accounts(parts: dict[str, Part], answers: dict[str, str]) -> None:
    walk = Walk(resource_policies())
    names = {part.account.id: name for name, part in parts.items()}
    entered = {
        (names[account_of(caller)], caller.rpartition("-")[2], names[account_of(role)], role.rpartition("-")[2])
        for caller in walk.principals("*", f"*{SLUG}*")
        for role in walk.entered(caller)
        if account_of(role) != account_of(caller) and SLUG in role
    }
    assert entered == {
        ("cicd", "build", "operations", "submit"),
        ("cicd", "build", "staging", "submit"),
        ("cicd", "build", "production", "submit"),
        ("cicd", "ship", "artifacts", "ship"),
        ("cicd", "ship", "operations", "ship"),
        ("cicd", "ship", "staging", "ship"),
        ("cicd", "ship", "production", "ship"),
    }


@of_large
def test_people_are_where_the_table_says_and_reach_no_further(parts: dict[str, Part], answers: dict[str, str]) -> None:
    suffixes = {"ds", "mle", "appr", "ops", "audit"}
    there = {name: {role.rpartition("-")[2] for role in part.roles()} & suffixes for name, part in parts.items()}
    assert there == {
        "data-lake": {"ds", "mle", "ops", "audit"},
        "artifacts": suffixes,
        "operations": {"mle", "ops", "audit"},
        "cicd": {"appr", "ops", "audit"},
        "experimentation": {"ds", "mle", "ops", "audit"},
        "staging": {"ops", "audit"},
        "production": {"ops", "audit"},
    }
    walk = Walk(resource_policies())
    for name, roles in there.items():
        for role in roles:
            reached = {
                opening.account
                for opening in walk.reached(parts[name].role(role))
                if opening.account != parts[name].account.id
            }
            allowed = {("artifacts", role): {ACCOUNTS["data-lake"]} for role in suffixes}
            allowed |= {("operations", "mle"): {ACCOUNTS["data-lake"], ACCOUNTS["artifacts"]}}
            assert reached == allowed.get((name, role), set()), (name, role)


@of_large
def test_who_serves_or_trains_cannot_decide_on_versions(parts: dict[str, Part], answers: dict[str, str]) -> None:
    resources = resource_policies()
    package = f"arn:aws:sagemaker:{REGION}:{ACCOUNTS['artifacts']}:model-package/{SLUG}/1"
    for name in ACCOUNTS.keys() - {"artifacts"}:
        for role in parts[name].roles():
            context = {"sagemaker:ModelApprovalStatus": "Approved"}
            for action in ("UpdateModelPackage", "DeleteModelPackage"):
                assert not resources.open(role, Need(f"sagemaker:{action}", package, "", context)), (role, action)
            registers = resources.open(role, Need("sagemaker:CreateModelPackage", package, "", context))
            assert registers == (role == parts["operations"].role("pipe"))


@pytest.fixture
def served(parts: dict[str, Part], monkeypatch: pytest.MonkeyPatch) -> None:
    """Endpoints that answer each row alike."""
    shipping.answer_alike(monkeypatch)


@pytest.mark.slow
@of_large
def test_a_version_is_deployed_from_the_cicd_account_by_roles_that_may_do_that_and_nothing_more(
    parts: dict[str, Part], project: Path, record: CallRecord, tmp_path: Path, served: None, answers: dict[str, str]
) -> None:
    promotion = promotion_of(parts)
    actions = Actions(promotion, project, record, tmp_path)
    package, execution = started(promotion)
    for stage, test in (("staging", "Test"), ("production", "Verify")):
        remove_functions(parts[stage].account, parts[stage].values["DataBucket"])
        shipped = actions.run(stage, "Deploy", package, execution)
        assert (shipped.succeeded, shipped.findings) == (True, []), shipped.phases
        for name in ("artifacts", "operations", "cicd", stage):
            assert Promotion(parts[name].account, {}, {}).live()[stage] == package, name
        assert actions.shown["deployed.READY"] == "production is ready"
        tested = actions.run(stage, test)
        assert (tested.succeeded, tested.findings) == (True, []), tested.phases
    assert promotion.deliver(promotion.approve(package))["outcome"] != START
    for name in ("artifacts", "operations", "cicd"):
        besides = shipping.of_builds(parts[name]) if name == "cicd" else ()
        assert shipping.judged(parts[name], record, besides) == "", name


@pytest.mark.slow
@of_large
def test_the_build_pipeline_updates_and_starts_training_in_the_operations_account_and_may_do_nothing_more(
    parts: dict[str, Part], project: Path, record: CallRecord, tmp_path: Path, answers: dict[str, str]
) -> None:
    cicd, operations, lake = parts["cicd"], parts["operations"], parts["data-lake"]
    image = f"sha256:{'1' * 64}"
    cicd.account.client("ssm").put_parameter(Name=f"/{SLUG}/image", Value=image, Overwrite=True)
    body = b"age\n1\n"
    lake.account.client("s3").put_object(Bucket=lake.values["DataBucket"], Key=f"{SLUG}/data/a.csv", Body=body)
    [compiling] = cicd.account.client("codebuild").batch_get_projects(names=[f"{SLUG}-compile"])["projects"]
    variables = {one["name"]: one["value"] for one in compiling["environment"]["environmentVariables"]}
    runner = BuildProject(cicd.account, record, compiling["serviceRole"], tmp_path / "build", variables)
    commands = re.findall(r"- (.*-m mlops (?:upsert|validate) --environment dev)$", written(project), re.MULTILINE)
    assert len(commands) == 2
    start = f"{commands[0]} --start --json > started.json"
    text = json.dumps({"version": 0.2, "phases": {"build": {"commands": [commands[0], start]}}})
    done = runner.build(text, {"source": project})
    assert (done.succeeded, done.findings) == (True, []), done.phases
    described = operations.account.client("sagemaker").describe_pipeline(PipelineName=f"{SLUG}-training")
    assert described["RoleArn"] == operations.role("pipe")
    definition = described["PipelineDefinition"]
    artifacts = parts["artifacts"]
    group = f"arn:aws:sagemaker:{REGION}:{artifacts.account.id}:model-package-group/{SLUG}"
    for expected in (
        group,
        lake.values["DataKeyArn"],
        artifacts.values["ModelKeyArn"],
        artifacts.values["ModelBucket"],
    ):
        assert expected in definition
    assert f"{artifacts.account.id}.dkr.ecr.{REGION}.amazonaws.com/{SLUG}@{image}" in definition
    base = project / "config/base.yaml"
    base.write_text(base.read_text().replace("volume_size_gb: 30", "volume_size_gb: 40"))
    assert runner.build(text, {"source": project}).succeeded  # which changes the pipeline
    resources = resource_policies(public=frozenset({AWS_IMAGES}))
    bucket = f"arn:aws:s3:::{lake.values['DataBucket']}"
    checks = f"arn:aws:lambda:{REGION}:{operations.account.id}:function:{SLUG}-validate-data"
    submitting = [
        *resources.needs(call for call in record.calls() if call.role == operations.role("submit")),
        *(
            Need(f"s3:{action}", f"{bucket}/{SLUG}/no-champion/1", "a definition")
            for action in ("GetObject", "PutObject")
        ),
        Need("s3:ListBucket", bucket, "an object that is not there"),
        Need("sagemaker:AddTags", described["PipelineArn"], "a pipeline that is made with tags"),
        Need("lambda:InvokeFunction", checks, "validate"),
    ]
    assert "\n".join(operations.judged("submit", submitting)) == ""
    roles = {name: parts[name].role("submit") for name in ("operations", "staging", "production")}
    place = {"region": REGION, "account": cicd.account.id, "log_group": f"/aws/codebuild/{SLUG}-compile"}
    building = [
        *resources.needs(call for call in record.calls() if call.role == cicd.role("build")),
        *service_needs("codebuild source", bucket=cicd.values["ArtifactBucket"], prefix=""),
        *service_needs("codebuild artifacts", bucket=cicd.values["ArtifactBucket"], prefix="cache/compile/"),
        *service_needs("codebuild artifact key", key=cicd.values["ArtifactKeyArn"]),
        *service_needs("codebuild logs", **place),
        *(Need("sts:AssumeRole", role, name) for name, role in roles.items()),
    ]
    assert "\n".join(cicd.judged("build", building)) == ""


def written(project: Path) -> str:
    return (project / "buildspecs/compile.yml").read_text(encoding="utf-8")


@of_large
def test_functions_of_the_training_pipeline_see_the_data_lake_and_the_registry(
    parts: dict[str, Part], answers: dict[str, str]
) -> None:
    lake, operations = parts["data-lake"], parts["operations"]
    bucket = lake.values["DataBucket"]
    retraining = Retraining(lake.account, {}, lake.values)
    retraining.upload("january.csv")
    promotion = promotion_of(parts)
    package = promotion.register()
    promotion.approve(package)
    given = dict.fromkeys(("data_version", "champion_arn", "champion_model"), "auto")
    event = {**given, "input_data": f"s3://{bucket}/{SLUG}/data/", "no_champion": f"s3://{bucket}/{SLUG}/no-champion/"}
    answer, error = invoke(operations.account, f"{SLUG}-resolve-data", event)
    assert (error, answer["ChampionArn"]) == ("", package)
    confirmed = {"input_data": event["input_data"], "data_version": answer["DataVersion"]}
    assert invoke(operations.account, f"{SLUG}-confirm-data", confirmed)[1] == ""
    listed = lake.account.client("s3").list_objects_v2(Bucket=bucket, Prefix=f"{SLUG}/data-versions/")["Contents"]
    assert [answer["DataVersion"] in one["Key"] for one in listed] == [True]
    schema: dict[str, Any] = {"columns": []}
    _, error = invoke(operations.account, f"{SLUG}-validate-data", {"uri": event["input_data"], "schema": schema})
    assert "AccessDenied" not in error
    swept, error = invoke(operations.account, f"{SLUG}-sweep", {})
    assert (error, swept["versions_without_manifest"]) == ("", [1])  # which says nothing of its data


@of_large
def test_the_build_of_the_image_pushes_it_into_the_artifacts_account(
    parts: dict[str, Part], project: Path, answers: dict[str, str]
) -> None:
    cicd, artifacts = parts["cicd"], parts["artifacts"]
    [build] = cicd.account.client("codebuild").batch_get_projects(names=[f"{SLUG}-image"])["projects"]
    variables = {one["name"]: one["value"] for one in build["environment"]["environmentVariables"]}
    assert variables["REGISTRY"].startswith(f"{artifacts.account.id}.dkr.ecr.{REGION}.")
    buildspec = (project / "buildspecs/image.yml").read_text(encoding="utf-8")
    assert buildspec.count('--repository-name "$REPOSITORY" --registry-id "${REGISTRY%%.*}"') == 3
    place = {"region": REGION, "account": cicd.account.id, "repository": SLUG, "bucket": cicd.values["ArtifactBucket"]}
    images = f"arn:aws:ecr:{REGION}:{artifacts.account.id}:repository/{SLUG}"
    parameter = f"arn:aws:ssm:{REGION}:{cicd.account.id}:parameter/{SLUG}/image"
    wanted = [
        *service_needs("codebuild logs", **place, log_group=f"/aws/codebuild/{SLUG}-image"),
        *service_needs("codebuild source", **place, prefix=f"{SLUG}-image/Source/"),
        *service_needs("docker push", **{**place, "account": artifacts.account.id}),
        *service_needs("codebuild artifact key", key=cicd.values["ArtifactKeyArn"]),
        *(
            Need(f"ecr:{action}", images, "its tag and its scan")
            for action in ("BatchGetImage", "DescribeImageScanFindings")
        ),
        *(Need(f"ssm:{action}", parameter, "the newest image") for action in ("GetParameters", "PutParameter")),
        Need(
            "codepipeline:StartPipelineExecution",
            f"arn:aws:codepipeline:{REGION}:{cicd.account.id}:{SLUG}-build",
            "a new image",
        ),
    ]
    assert "\n".join(cicd.judged("image", wanted)) == ""


@of_large
def test_people_may_do_in_each_account_what_the_table_says(parts: dict[str, Part], answers: dict[str, str]) -> None:
    of_part = {name: "workload" if name in ("staging", "production") else name for name in parts}
    for name, part in parts.items():
        names = {key: value for other in parts.values() for key, value in other.values.items()}
        data = part if of_part[name] == "workload" else parts["data-lake"]
        values = {**names, **part.values, "DataBucket": data.values["DataBucket"]}
        known = {"slug": SLUG, "id": part.names.id, "account": part.account.id, "region": REGION, **values}
        for role, person in people.ROLES.items():
            if of_part[name] not in person["parts"]:
                continue
            policies = part.policies(person["suffix"])
            here = {
                ability
                for ability in person["abilities"]
                if people.ABILITIES[ability]["part"] in ("any", of_part[name])
            }
            for page in people.PAGES:
                if page.ability not in here or page.given not in ("", "trains", "deploys"):
                    continue
                foreign = of_part[name] != "workload" and "CaptureBucket" in str(page.resources)
                for resource in () if foreign else (one.format_map(known) for one in page.resources):
                    for action in page.actions.split():
                        assert policies.allow(action, resource, {}), (name, role, page)


@of_large
def test_reports_of_versions_are_read_from_the_artifacts_account(
    parts: dict[str, Part], project: Path, answers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    artifacts, lake = parts["artifacts"], parts["data-lake"]
    key = f"{SLUG}/runs/1/Evaluate/evaluation/evaluation.json"
    lake.account.client("s3").put_object(Bucket=lake.values["DataBucket"], Key=key, Body=b'{"of": "it"}')
    report = {"ContentType": "application/json", "S3Uri": f"s3://{lake.values['DataBucket']}/{key}"}
    artifacts.account.client("sagemaker").create_model_package(
        ModelPackageGroupName=SLUG,
        ModelApprovalStatus="PendingManualApproval",
        InferenceSpecification={
            "Containers": [{"Image": "image", "ModelDataUrl": "s3://models/model.tar.gz"}],
            "SupportedContentTypes": ["text/csv"],
            "SupportedResponseMIMETypes": ["text/csv"],
        },
        ModelMetrics={"ModelQuality": {"Statistics": report}},
    )
    dev = Target(Project(project), "dev")
    registry = AwsRegistry.of(dev)  # from operations, as an administrator, by roles that may be assumed
    [version] = registry.versions()
    assert registry.evaluation(version) == {"of": "it"}
    artifacts.account.enter(monkeypatch, artifacts.role("appr"))
    approver = AwsRegistry.of(Target(Project(project), "dev"))
    assert approver.reports is None
    assert approver.evaluation(version) == {"of": "it"}
    context = {"kms:ViaService": f"s3.{REGION}.amazonaws.com"}
    resources = resource_policies()
    for need in (
        Need("s3:GetObject", f"arn:aws:s3:::{lake.values['DataBucket']}/{key}", "the report"),
        Need("kms:Decrypt", lake.values["DataKeyArn"], "the report", context),
    ):
        assert resources.allow(artifacts.role("appr"), artifacts.policies("appr"), need), need

"""The sweep in an account: what it tags, what it leaves alone, when it fails, and what it may do."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from moto.s3.models import s3_backends
from moto.sagemaker.exceptions import AWSValidationException
from moto.sagemaker.models import SageMakerModelBackend, sagemaker_backends

from mlops.registry.named import Named
from mlops.registry.sweep import Report, Rules, sweep
from mlops.registry.versions import PENDING, REJECTED
from standin.account import StandInAccount
from standin.calls import CallRecord
from standin.lambdas import invoke
from standin.needs import Need, keys, needs
from standin.service_side import service_needs
from standin.template import Template, parse
from tests.infra.deployed import NAMES
from tests.infra.rendered import SLUG, texts
from tests.infra.retraining import Retraining, retraining
from tests.infra.test_inputs_functions import DATA, NOTHING_GIVEN, RESOLVE

SWEEP = f"{SLUG}-sweep"
EXPIRES = {"mlops:expire": "true"}
GRACE = 30
JANUARY, FEBRUARY = f"{SLUG}/data/january.csv", f"{SLUG}/data/february.csv"


class Swept(Retraining):
    """A project whose buckets are swept."""

    def put(self, key: str, bucket: str = NAMES.data_bucket, **more: str) -> str:
        """Write an object, and return its version id."""
        return str(self.account.client("s3").put_object(Bucket=bucket, Key=key, Body=b"a\n1\n", **more)["VersionId"])

    def result(self, run: str, name: str = "Train/job/output/model.tar.gz", bucket: str = NAMES.model_bucket) -> str:
        """Write a result of a run, and return its version id."""
        return self.put(f"{SLUG}/runs/{run}/{name}", bucket)

    def age(self, days: float = GRACE + 1) -> None:
        """Let everything in the buckets be older."""
        for bucket in s3_backends[self.account.id]["aws"].buckets.values():
            for _, versions in bucket.keys.iterlists():
                for version in versions:
                    version.last_modified -= timedelta(days=days)

    def trained(self, run: str, status: str = PENDING) -> str:
        """Register a version of a run on the data as they are, and return its ARN."""
        found, error = invoke(self.account, RESOLVE, NOTHING_GIVEN)
        assert error == ""
        uri = f"s3://{NAMES.model_bucket}/{SLUG}/runs/{run}/Train/job/output/model.tar.gz"
        arn: str = self.account.client("sagemaker").create_model_package(
            ModelPackageGroupName=SLUG,
            ModelApprovalStatus=status,
            CustomerMetadataProperties={"DataVersion": found["DataVersion"], "InputDataUri": DATA},
            InferenceSpecification={
                "Containers": [{"Image": "image", "ModelDataUrl": uri}],
                "SupportedContentTypes": ["text/csv"],
                "SupportedResponseMIMETypes": ["text/csv"],
            },
        )["ModelPackageArn"]
        return arn

    @property
    def packages(self) -> dict[str, Any]:
        """The model packages, by ARN."""
        found: dict[str, Any] = sagemaker_backends[self.account.id][self.account.region].model_packages
        return found

    @contextmanager
    def unregistered(self) -> Iterator[None]:
        """Let no version be registered within a `with` block."""
        known = dict(self.packages)
        self.packages.clear()
        yield
        self.packages.update(known)

    def run_sweep(self) -> dict[str, Any]:
        """Call the function, which must not fail."""
        done, error = invoke(self.account, SWEEP, {})
        assert error == ""
        report: dict[str, Any] = done
        return report

    def failed_sweep(self) -> str:
        """Call the function, which must fail, and return the error."""
        done, error = invoke(self.account, SWEEP, {})
        assert done is None
        return error

    def tags(self, key: str, version: str, bucket: str = NAMES.data_bucket) -> dict[str, str]:
        """The tags of a version of an object."""
        found = self.account.client("s3").get_object_tagging(Bucket=bucket, Key=key, VersionId=version)["TagSet"]
        return {tag["Key"]: tag["Value"] for tag in found}

    def tags_of_result(self, run: str, version: str) -> dict[str, str]:
        """The tags of the archive of a run."""
        return self.tags(f"{SLUG}/runs/{run}/Train/job/output/model.tar.gz", version, NAMES.model_bucket)


@pytest.fixture
def project(account: StandInAccount) -> Swept:
    """A project without data."""
    deployed = retraining(account, "manual")
    return Swept(deployed.account, deployed.stacks, deployed.values)


def counts(report: Mapping[str, Any]) -> tuple[int, int]:
    return report["tagged"], report["untagged"]


def test_replaced_data_that_no_version_names_is_tagged_and_the_rest_is_not(project: Swept) -> None:
    older = project.put(JANUARY)
    named = project.put(JANUARY)
    project.trained("one")
    between = project.put(JANUARY)
    newest = project.put(JANUARY)
    project.age()
    project.run_sweep()
    assert project.tags(JANUARY, older) == project.tags(JANUARY, between) == EXPIRES
    assert project.tags(JANUARY, named) == project.tags(JANUARY, newest) == {}


@pytest.mark.parametrize("status", [PENDING, REJECTED])
def test_results_of_runs_without_a_version_are_tagged_and_those_of_any_version_are_not(
    project: Swept, status: str
) -> None:
    project.put(JANUARY)
    project.trained("one", status)
    named, unnamed = project.result("one"), project.result("two")
    reports = {
        run: project.result(run, "Evaluate/evaluation/evaluation.json", NAMES.data_bucket) for run in ("one", "two")
    }
    project.age()
    assert counts(project.run_sweep()) == (2, 0)
    assert project.tags_of_result("one", named) == {}
    assert project.tags_of_result("two", unnamed) == EXPIRES
    key = f"{SLUG}/runs/{{}}/Evaluate/evaluation/evaluation.json".format
    assert project.tags(key("one"), reports["one"]) == {}
    assert project.tags(key("two"), reports["two"]) == EXPIRES


def test_what_a_version_names_again_loses_the_tag_and_nothing_else(project: Swept) -> None:
    version, result = project.put(JANUARY, Tagging="source=clinic"), project.result("one")
    project.trained("one")
    project.put(JANUARY)
    project.age()
    with project.unregistered():
        assert counts(project.run_sweep()) == (2, 0)
    assert project.tags(JANUARY, version) == {"source": "clinic", **EXPIRES}
    assert counts(project.run_sweep()) == (0, 2)
    assert project.tags(JANUARY, version) == {"source": "clinic"}
    assert project.tags_of_result("one", result) == {}


def test_a_second_sweep_writes_nothing(project: Swept, record: CallRecord) -> None:
    project.put(JANUARY)
    project.put(JANUARY)
    project.age()
    assert counts(project.run_sweep()) == (1, 0)
    before = len(record.calls())
    report = project.run_sweep()
    assert (counts(report), report["unchanged"]) == ((0, 0), 1)
    assert not [call for call in record.calls()[before:] if call.operation.startswith(("Put", "Delete"))]


def test_what_was_replaced_written_or_deleted_within_the_grace_period_is_left_alone(project: Swept) -> None:
    replaced, deleted = project.put(JANUARY), project.put(FEBRUARY)
    project.age()  # written long ago, and in use until now
    project.put(JANUARY)
    project.account.client("s3").delete_object(Bucket=NAMES.data_bucket, Key=FEBRUARY)
    result = project.result("one")
    assert counts(project.run_sweep()) == (0, 0)
    project.age(GRACE + 1)
    assert counts(project.run_sweep()) == (3, 0)
    assert project.tags(JANUARY, replaced) == project.tags(FEBRUARY, deleted) == EXPIRES
    assert project.tags_of_result("one", result) == EXPIRES


def test_delete_markers_are_not_tagged(project: Swept) -> None:
    first = project.put(JANUARY)
    s3 = project.account.client("s3")
    s3.delete_object(Bucket=NAMES.data_bucket, Key=JANUARY)
    s3.delete_object(Bucket=NAMES.data_bucket, Key=JANUARY)
    restored = project.put(JANUARY)
    project.age()
    assert counts(project.run_sweep()) == (1, 0)
    assert project.tags(JANUARY, first) == EXPIRES
    assert project.tags(JANUARY, restored) == {}


def test_an_object_with_ten_tags_of_its_own_is_counted_and_kept(project: Swept) -> None:
    tags = {f"tag{number}": "x" for number in range(10)}
    version = project.put(JANUARY, Tagging="&".join(f"{key}={value}" for key, value in tags.items()))
    project.put(JANUARY)
    project.age()
    assert project.run_sweep()["full"] == 1
    assert project.tags(JANUARY, version) == tags


@pytest.mark.parametrize(
    ("content", "said"), [("a\n1\n", "cannot be read"), ("[]", "does not list the objects of this data version")]
)
def test_an_unreadable_manifest_keeps_all_that_its_version_may_name_and_fails_the_sweep(
    project: Swept, content: str, said: str
) -> None:
    version, result = project.put(JANUARY), project.result("two")
    project.trained("one")
    manifest = f"{SLUG}/data-versions/{project.data_version()}.json"
    project.put(JANUARY)
    project.account.client("s3").put_object(Bucket=NAMES.data_bucket, Key=manifest, Body=content.encode())
    project.age()
    error = project.failed_sweep()
    assert f"The data of version 1 is not known: s3://{NAMES.data_bucket}/{manifest} {said}" in error
    assert project.tags(JANUARY, version) == {}
    assert project.tags_of_result("two", result) == EXPIRES  # which no manifest lists


def test_data_of_later_than_a_version_without_a_manifest_is_tagged(project: Swept) -> None:
    version = project.put(JANUARY)
    project.register("0123456789abcdef")  # an older release wrote no manifest
    project.age(1)
    later = project.put(JANUARY)
    project.put(JANUARY)
    project.age()
    [package] = project.packages.values()
    package.creation_time -= timedelta(days=GRACE + 1.5)
    assert project.run_sweep()["versions_without_manifest"] == [1]
    assert project.tags(JANUARY, version) == {}
    assert project.tags(JANUARY, later) == EXPIRES


def test_a_registry_that_cannot_be_read_fails_the_sweep_before_it_tags(
    project: Swept, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(*_: object, **__: object) -> None:
        raise AWSValidationException("the registry cannot be read")

    version = project.put(JANUARY)
    project.put(JANUARY)
    project.age()
    for method in ("describe_model_package_group", "list_model_packages"):
        with monkeypatch.context() as patch:
            patch.setattr(SageMakerModelBackend, method, unreadable)
            assert "the registry cannot be read" in project.failed_sweep()
    assert project.tags(JANUARY, version) == {}


def test_no_result_is_tagged_while_a_live_version_is_not_registered(project: Swept) -> None:
    project.put(JANUARY)
    version, result = project.put(JANUARY), project.result("one")
    arn = f"arn:aws:sagemaker:{project.account.region}:{project.account.id}:model-package/{SLUG}/7"
    project.account.client("ssm").put_parameter(Name=f"/{SLUG}/live/production", Value=arn, Type="String")
    project.age()
    assert f"{arn} is live and not registered: results of runs were not tagged." in project.failed_sweep()
    assert project.tags_of_result("one", result) == {}
    assert project.tags(JANUARY, version) == {}


@pytest.mark.nightly
def test_more_versions_than_a_page_holds_are_all_tagged(project: Swept) -> None:
    versions = [project.put(f"{SLUG}/data/{number % 7}.csv") for number in range(1020)]
    project.age()
    assert counts(project.run_sweep()) == (1013, 0)
    assert project.tags(f"{SLUG}/data/0.csv", versions[0]) == EXPIRES
    assert project.tags(f"{SLUG}/data/4.csv", versions[1012]) == EXPIRES


def test_without_time_the_sweep_says_what_is_left_and_the_next_one_goes_on(project: Swept) -> None:
    functions = project.account.client("lambda")
    for _ in range(4):
        project.put(JANUARY)
    project.age()
    functions.update_function_configuration(FunctionName=SWEEP, Timeout=100)
    report = project.run_sweep()
    assert (counts(report), report["left"], report["left_is_counted"]) == ((0, 0), 3, True)
    functions.update_function_configuration(FunctionName=SWEEP, Timeout=15)
    assert not project.run_sweep()["left_is_counted"]
    functions.update_function_configuration(FunctionName=SWEEP, Timeout=900)
    assert counts(project.run_sweep()) == (3, 0)
    assert project.run_sweep()["left"] == 0


def test_each_sweep_begins_where_the_one_before_ran_out_of_time(
    project: Swept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "3")
    for name in ("one", "two", "three", "four"):
        for _ in range(2):
            project.put(f"{SLUG}/data/{name}.csv")
    project.result("one")
    project.age()
    rules = Rules(SLUG, Named(set(), set(), set(), {}, (), ()), results_known=True, before=datetime.now(UTC))
    buckets = [NAMES.data_bucket, NAMES.model_bucket]
    once = partial(sweep, project.account.client("s3"), buckets, rules)
    place, tagged, lefts = None, 0, []
    for _ in range(20):
        report: Report = once(place, _seconds_for(pages=1))
        tagged += report.outcomes["tagged"]
        lefts.append(report.left)
        place = report.next
        if place is None:
            break
    assert (place, tagged) == (None, 5)
    assert lefts[0] >= 3
    assert lefts[-1] == 0


def _seconds_for(pages: int) -> Callable[[], float]:
    left = iter([900.0] * pages)
    return lambda: next(left, 60.0)


def test_the_functions_of_the_sweep_may_do_what_they_do_and_nothing_more(
    account: StandInAccount, project: Swept, record: CallRecord
) -> None:
    project.put(JANUARY)
    project.trained("one")
    project.put(JANUARY)
    functions = account.client("lambda")
    project.age()
    functions.update_function_configuration(FunctionName=SWEEP, Timeout=100)
    project.run_sweep()
    functions.update_function_configuration(FunctionName=SWEEP, Timeout=900)
    with project.unregistered():
        assert counts(project.run_sweep()) == (1, 0)
    assert counts(project.run_sweep()) == (0, 1)
    calls = [call for call in record.calls() if call.role == project.role("sweep")]
    place = {"region": account.region, "account": account.id}
    queue = {"queue": f"{SWEEP}-undelivered", "key": project.values["DataKeyArn"], **place}
    wanted = [
        *needs(calls, keys(account)),
        *project.logs(f"/aws/lambda/{SWEEP}"),
        *service_needs("lambda dead letters", **queue),
        *(
            Need(f"s3:{action}ObjectVersionTagging", f"arn:aws:s3:::{bucket}/{SLUG}/one", "tags")
            for action in ("Delete", "Get", "Put")
            for bucket in (NAMES.data_bucket, NAMES.model_bucket)
        ),
        # A call that asks for two parameters is held against the first of them only.
        Need(
            "ssm:GetParameters", f"arn:aws:ssm:{account.region}:{account.id}:parameter/{SLUG}/live/production", "live"
        ),
    ]
    assert project.judged("sweep", wanted) == []
    wanted = [
        *service_needs("scheduler function", function=SWEEP, **place),
        *service_needs("scheduler dead letters", queue=queue["queue"], **place),
        *service_needs("scheduler dead letters encryption", key=queue["key"], region=account.region),
    ]
    assert project.judged("ssched", wanted) == []


def test_a_sweep_that_fails_or_is_not_started_is_kept_and_rings(project: Swept) -> None:
    account = project.account
    schedule = account.client("scheduler").get_schedule(GroupName=SWEEP, Name=SWEEP)
    queue = f"arn:aws:sqs:{account.region}:{account.id}:{SWEEP}-undelivered"
    assert schedule["Target"]["DeadLetterConfig"]["Arn"] == queue
    assert schedule["Target"]["Arn"].endswith(f":function:{SWEEP}")
    function = project.stacks["execution"].template.resources["Sweep"]["Properties"]
    assert function["DeadLetterConfig"]["TargetArn"] == {"Fn::GetAtt": ["SweepUndelivered", "Arn"]}
    [alarm] = account.client("cloudwatch").describe_alarms(AlarmNames=[f"{SLUG}-not-swept"])["MetricAlarms"]
    assert alarm["Dimensions"] == [{"Name": "QueueName", "Value": f"{SWEEP}-undelivered"}]
    assert alarm["AlarmActions"] == [project.values["TopicArn"]]


def lifecycle(template: Template, bucket: str) -> list[dict[str, Any]]:
    rules: list[dict[str, Any]] = template.resources[bucket]["Properties"]["LifecycleConfiguration"]["Rules"]
    return rules


@pytest.mark.parametrize(("stack", "bucket"), [("data", "DataBucket"), ("registry", "ModelBucket")])
@pytest.mark.parametrize("scope", ["build-train-deploy", "build-train"])
def test_the_buckets_expire_nothing_that_is_not_tagged(stack: str, bucket: str, scope: str) -> None:
    rules = lifecycle(parse(texts({"project_scope": scope})[stack]), bucket)
    deleting = [rule for rule in rules if {"ExpirationInDays", "NoncurrentVersionExpiration"} & set(rule)]
    assert {rule["Id"] for rule in deleting} == {"old-versions", "results"}
    for rule in deleting:
        assert rule["TagFilters"] == [{"Key": key, "Value": value} for key, value in EXPIRES.items()]
        assert ("ExpirationInDays" in rule) == (rule.get("Prefix") == {"Fn::Sub": "${ProjectName}/runs/"})
    # S3 refuses tags in rules with these: AmazonS3/latest/userguide/intro-lifecycle-rules.html
    others = [rule for rule in rules if {"AbortIncompleteMultipartUpload", "ExpiredObjectDeleteMarker"} & set(rule)]
    assert [rule["Id"] for rule in others] == ["uploads-that-were-given-up"]
    assert not [rule for rule in others if "TagFilters" in rule]


def test_a_project_that_only_deploys_has_no_sweep_and_expires_old_versions_without_a_tag() -> None:
    written = texts({"project_scope": "deploy"})
    [old] = [rule for rule in lifecycle(parse(written["data"]), "DataBucket") if "NoncurrentVersionExpiration" in rule]
    assert "TagFilters" not in old
    assert "Sweep" not in written["execution"]


def test_s3_takes_the_rules_with_their_tags(project: Swept) -> None:
    s3 = project.account.client("s3")
    for bucket in (NAMES.data_bucket, NAMES.model_bucket):
        rules = {rule["ID"]: rule for rule in s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]}
        [tag] = rules["results"]["Filter"]["And"]["Tags"]
        assert {tag["Key"]: tag["Value"]} == EXPIRES
        assert rules["results"]["Filter"]["And"]["Prefix"] == f"{SLUG}/runs/"

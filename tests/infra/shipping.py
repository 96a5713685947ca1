"""The builds of the deploy pipeline in projects with several accounts: the role `-ship` of each account."""

import base64
import json
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from moto.sagemakerruntime.models import SageMakerRuntimeBackend

from standin.account import REGION
from standin.attached import resource_policies
from standin.calls import CallRecord
from standin.needs import Need
from standin.service_side import service_needs
from tests.infra.rendered import SLUG
from tests.infra.several_accounts import AWS_IMAGES, Part
from tests.infra.test_promotion_buildspecs import ANSWER, as_iam_sees, as_it_is_tagged


def answer_alike(patch: pytest.MonkeyPatch) -> None:
    """Let endpoints answer each row alike."""

    def invoke(_: Any, endpoint_name: str, unique_repr: bytes) -> tuple[str, str, str, str]:
        rows = json.loads(base64.b64decode(unique_repr))["Body"].splitlines()[1:]
        return f"{ANSWER}\n" * len(rows), "text/csv", "AllTraffic", ""

    patch.setattr(SageMakerRuntimeBackend, "invoke_endpoint", invoke)


def of_builds(part: Part) -> Iterator[Need]:
    """What the builds need, in the account that they run in, beside the calls that they made."""
    account, values = part.account, part.values
    yield from service_needs("codebuild source", bucket=values["ArtifactBucket"], prefix="")
    yield from service_needs("codebuild artifacts", bucket=values["ArtifactBucket"], prefix="cache/ship/")
    yield from service_needs("codebuild artifact key", key=values["ArtifactKeyArn"])
    for group in ("ship", "smoke"):
        place = {"region": REGION, "account": account.id, "log_group": f"/aws/codebuild/{SLUG}-{group}"}
        yield from service_needs("codebuild logs", **place)
    execution = f"arn:aws:codepipeline:{REGION}:{account.id}:{SLUG}-deploy"
    yield Need("codepipeline:StopPipelineExecution", execution, "another version is wanted")


def judged(part: Part, record: CallRecord, besides: Iterable[Need]) -> str:
    """What the role of an account lacks for the calls that were made as it, or has too much, besides other needs."""
    resources = resource_policies(public=frozenset({AWS_IMAGES}))
    calls = as_iam_sees(call for call in record.calls() if call.role == part.role("ship"))
    wanted = [as_it_is_tagged(need, part.names.id) for need in resources.needs(calls)]
    return "\n".join(part.judged("ship", [*wanted, *besides]))

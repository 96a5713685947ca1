"""Jobs and models get past a company's policy that denies those without keys, isolation, encrypted traffic or a VPC.

What a condition key holds, and of which action: Service Authorization Reference,
https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsagemaker.html; policies of this kind:
https://docs.aws.amazon.com/sagemaker/latest/dg/security_iam_id-based-policy-examples.html.
"""

import copy
import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from mlops.pipeline.bundle import Bundle
from mlops.pipeline.definition import Definition
from mlops.pipeline.validation import problems
from standin.account import ACCOUNT, REGION
from standin.iam import RolePolicies
from tests.environments import FRAMEWORKS, give
from tests.infra.serving_stacks import GIVEN, said
from tests.machinery.pipeline.test_validation import GOLDEN
from tests.projects import Bake

SUBNETS, GROUPS = ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"], ["sg-0123456789abcdef0"]
VOLUME_KEY = f"arn:aws:kms:{REGION}:000000000000:key/disks"
JOBS = {"Processing": "CreateProcessingJob", "Training": "CreateTrainingJob", "Transform": "CreateTransformJob"}
# By condition key, where each request has its value. Transform jobs take their network from their model.
MEMBERS: Mapping[str, Mapping[str, str]] = {
    "sagemaker:VolumeKmsKey": {
        "CreateProcessingJob": "ProcessingResources.ClusterConfig.VolumeKmsKeyId",
        "CreateTrainingJob": "ResourceConfig.VolumeKmsKeyId",
        "CreateTransformJob": "TransformResources.VolumeKmsKeyId",
    },
    "sagemaker:OutputKmsKey": {
        "CreateProcessingJob": "ProcessingOutputConfig.KmsKeyId",
        "CreateTrainingJob": "OutputDataConfig.KmsKeyId",
        "CreateTransformJob": "TransformOutput.KmsKeyId",
    },
    "sagemaker:NetworkIsolation": {
        "CreateProcessingJob": "NetworkConfig.EnableNetworkIsolation",
        "CreateTrainingJob": "EnableNetworkIsolation",
        "CreateModel": "EnableNetworkIsolation",
    },
    "sagemaker:InterContainerTrafficEncryption": {
        "CreateProcessingJob": "NetworkConfig.EnableInterContainerTrafficEncryption",
        "CreateTrainingJob": "EnableInterContainerTrafficEncryption",
    },
    "sagemaker:VpcSubnets": {
        "CreateProcessingJob": "NetworkConfig.VpcConfig.Subnets",
        "CreateTrainingJob": "VpcConfig.Subnets",
        "CreateModel": "VpcConfig.Subnets",
    },
    "sagemaker:VpcSecurityGroupIds": {
        "CreateProcessingJob": "NetworkConfig.VpcConfig.SecurityGroupIds",
        "CreateTrainingJob": "VpcConfig.SecurityGroupIds",
        "CreateModel": "VpcConfig.SecurityGroupIds",
    },
}
ON_BY_DEFAULT = ("sagemaker:VolumeKmsKey", "sagemaker:OutputKmsKey", "sagemaker:NetworkIsolation")
EVERYTHING = {"Effect": "Allow", "Action": "sagemaker:*", "Resource": "*"}


def denial(key: str) -> dict[str, Any]:
    """A statement that denies what lacks a value of a condition key, or has one that is not the company's."""
    switch = key in ("sagemaker:NetworkIsolation", "sagemaker:InterContainerTrafficEncryption")
    wanted: dict[str, Any] = {
        "sagemaker:VolumeKmsKey": {"ArnNotLike": {key: f"arn:aws:kms:{REGION}:*:key/*"}},
        "sagemaker:OutputKmsKey": {"ArnNotLike": {key: f"arn:aws:kms:{REGION}:*:key/*"}},
        "sagemaker:VpcSubnets": {"Null": {key: "true"}},
        "sagemaker:VpcSecurityGroupIds": {"Null": {key: "true"}},
    }
    actions = [f"sagemaker:{action}" for action in MEMBERS[key]]
    condition = {"StringNotEquals": {key: "true"}} if switch else wanted[key]
    return {"Effect": "Deny", "Action": actions, "Resource": "*", "Condition": condition}


def member(request: Mapping[str, Any], path: str) -> Any:
    value: Any = request
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def lets_through(action: str, request: Mapping[str, Any], keys: Any = MEMBERS) -> bool:
    """Whether a company that asks for values of condition keys allows a request."""
    policy = RolePolicies([{"Statement": [EVERYTHING, *map(denial, keys)]}])
    found = {key: member(request, of[action]) for key, of in MEMBERS.items() if action in of}
    context = {key: value for key, value in found.items() if value is not None}
    return policy.allow(f"sagemaker:{action}", f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:job/one", context)


def without(request: Mapping[str, Any], path: str) -> dict[str, Any]:
    changed = copy.deepcopy(dict(request))
    *parents, last = path.split(".")
    holder: Any = changed
    for part in parents:
        holder = holder[part]
    del holder[last]
    return changed


def refused_without(action: str, request: Mapping[str, Any]) -> Iterator[str]:
    """Each condition key whose member, left out of a request, has the request denied."""
    for key, of in MEMBERS.items():
        if action in of and not lets_through(action, without(request, of[action])):
            yield key


def jobs(definition: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The requests of the jobs of a definition, with what each creates."""
    steps = Definition(dict(definition)).all_steps
    return [(JOBS[step.type], step.arguments) for step in steps if step.type in JOBS]


def compiled(project: Path, folder: Path) -> dict[str, Any]:
    """The definition of a project for `local`."""
    command = [str(project / ".venv-dev/bin/python"), "-m", "mlops.compile", "--output", str(folder / "bundle")]
    done = subprocess.run(command, cwd=project, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return Bundle(folder / "bundle").definition


def test_by_default_jobs_have_keys_and_no_network() -> None:
    found = jobs(json.loads(GOLDEN.read_text(encoding="utf-8")))
    assert [action for action, _ in found].count("CreateTrainingJob") == 1
    assert len(found) == 5
    for action, request in found:
        assert lets_through(action, request, ON_BY_DEFAULT)
        assert not lets_through(action, request), "the rest is off"


@pytest.mark.slow
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_with_everything_on_each_job_gets_past_each_statement(bake: Bake, tmp_path: Path, framework: str) -> None:
    project = give(bake(framework=framework))
    secure(project)
    definition = compiled(project, tmp_path)
    assert problems(definition) == []
    for action, request in jobs(definition):
        assert lets_through(action, request)
        assert list(refused_without(action, request)) == [key for key, of in MEMBERS.items() if action in of]
        assert member(request, MEMBERS["sagemaker:VolumeKmsKey"][action]) == VOLUME_KEY
        assert member(request, MEMBERS["sagemaker:VpcSubnets"][action]) == SUBNETS
        assert member(request, MEMBERS["sagemaker:VpcSecurityGroupIds"][action]) == GROUPS


@pytest.mark.slow
def test_disks_that_hardware_encrypts_get_no_key(bake: Bake, tmp_path: Path) -> None:
    project = give(bake())
    path = project / "config/base.yaml"
    path.write_text(path.read_text().replace("instance_type: ml.m5.large", "instance_type: ml.g5.xlarge", 1))
    with_keys = {
        action
        for action, request in jobs(compiled(project, tmp_path))
        if member(request, MEMBERS["sagemaker:VolumeKmsKey"][action])
    }
    assert with_keys == {"CreateTrainingJob"}


def secure(project: Path) -> None:
    """Turn on all of the section `security` in config/base.yaml."""
    path = project / "config/base.yaml"
    text = path.read_text(encoding="utf-8")
    values = {
        "volume_key": VOLUME_KEY,
        "encrypt_inter_container_traffic": "true",
        "subnet_ids": json.dumps(SUBNETS),
        "security_group_ids": json.dumps(GROUPS),
    }
    for key, value in values.items():
        text, times = re.subn(rf"^  {key}: .*$", f"  {key}: {value}", text, flags=re.MULTILINE)
        assert times == 1, key
    path.write_text(text, encoding="utf-8")


def test_scheduled_transform_jobs_and_their_models_get_past_it() -> None:
    vpc = {"SubnetIds": ",".join(SUBNETS), "SecurityGroupIds": ",".join(GROUPS)}
    template = said("transform", {"inference": "batch"}, **vpc)
    model = template.resources["Model"]["Properties"]
    job = json.loads(template.resources["Schedule"]["Properties"]["Target"]["Input"])
    for action, request in (("CreateModel", model), ("CreateTransformJob", job)):
        assert lets_through(action, request)
        assert list(refused_without(action, request)) == [key for key, of in MEMBERS.items() if action in of]
    assert member(job, MEMBERS["sagemaker:OutputKmsKey"]["CreateTransformJob"]) == GIVEN["WorkloadKeyArn"]


def test_models_of_endpoints_get_past_it() -> None:
    vpc = {"SubnetIds": ",".join(SUBNETS), "SecurityGroupIds": ",".join(GROUPS)}
    model = said("endpoint", {"inference": "realtime"}, **vpc).resources["Model"]["Properties"]
    assert lets_through("CreateModel", model)

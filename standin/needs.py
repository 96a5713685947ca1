"""What a role needs to be allowed: what its calls, and the services that act as it, do to which resources."""

import functools
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from standin.calls import Call
from standin.principals import account_of
from standin.schemas import schema

if TYPE_CHECKING:
    from standin.account import StandInAccount


@dataclass(frozen=True)
class Need:
    """One thing that a role must be allowed.

    Attributes:
        action: As `s3:GetObject`.
        resource: Its ARN, or `*` where the action knows no resources.
        why: What does it.
        context: Values of condition keys.
        shared: What the policy of another account's resource names, where that is not `resource`.
    """

    action: str
    resource: str
    why: str
    context: Mapping[str, Any] = field(default_factory=dict)
    shared: str = ""


# IAM's prefix of a service where it is not the name that requests are signed for.
_PREFIXES = {"monitoring": "cloudwatch"}

# The actions of operations that are not called as these are.
_ACTIONS: Mapping[str, tuple[str, ...]] = {
    "lambda:Invoke": ("lambda:InvokeFunction",),
    "s3:AbortMultipartUpload": ("s3:AbortMultipartUpload",),
    "s3:CompleteMultipartUpload": ("s3:PutObject",),
    "s3:CopyObject": ("s3:PutObject",),  # and what `_source` says
    "s3:CreateMultipartUpload": ("s3:PutObject",),
    "s3:DeleteObjects": ("s3:DeleteObject",),
    "s3:GetBucketEncryption": ("s3:GetEncryptionConfiguration",),
    "s3:GetBucketLifecycleConfiguration": ("s3:GetLifecycleConfiguration",),
    "s3:GetPublicAccessBlock": ("s3:GetBucketPublicAccessBlock",),
    "s3:HeadBucket": ("s3:ListBucket",),
    "s3:HeadObject": ("s3:GetObject",),
    "s3:ListObjectVersions": ("s3:ListBucketVersions",),
    "s3:ListObjects": ("s3:ListBucket",),
    "s3:ListObjectsV2": ("s3:ListBucket",),
    "s3:UploadPart": ("s3:PutObject",),
}

# The actions of operations on a version of an object.
_OF_VERSIONS: Mapping[str, tuple[str, ...]] = {
    "s3:DeleteObjectTagging": ("s3:DeleteObjectVersionTagging",),
    "s3:GetObjectTagging": ("s3:GetObjectVersionTagging",),
    "s3:PutObjectTagging": ("s3:PutObjectVersionTagging",),
}

# The last part of a resource's ARN, made from parameters of the call; the first whose parameters are all there.
_RESOURCES: Mapping[str, tuple[str, ...]] = {
    "cloudformation:stack": ("{StackName}/00000000-0000-4000-8000-000000000000",),
    "cloudwatch:alarm": ("{AlarmName}", "{AlarmNames[0]}"),
    "codebuild:project": ("{projectName}", "{name}", "{names[0]}"),
    "codepipeline:pipeline": ("{name}", "{pipelineName}"),
    "dynamodb:table": ("{TableName}",),
    "ecr:repository": ("{repositoryName}", "{repositoryNames[0]}"),
    "events:event-bus": ("{Entries[0][EventBusName]}", "{EventBusName}", "default"),
    "events:rule-on-default-event-bus": ("{Rule}", "{Name}"),
    "firehose:deliverystream": ("{DeliveryStreamName}",),
    "iam:role": ("{RoleName}",),
    "kms:key": ("{KeyId}",),
    "lambda:function": ("{FunctionName}",),
    "logs:log-group": ("{logGroupName}",),
    "logs:log-stream": ("{logGroupName}:log-stream:{logStreamName}",),
    "s3:bucket": ("{Bucket}",),
    "s3:object": ("{Bucket}/{Key}", "{Bucket}/{Delete[Objects][0][Key]}"),
    "sagemaker:model-package": ("{ModelPackageGroupName}/1",),
    "scheduler:schedule": ("{GroupName}/{Name}", "default/{Name}"),
    "scheduler:schedule-group": ("{Name}",),
    "ssm:parameter": ("{Name}", "{Names[0]}"),
}

# What S3 and others do to a resource's key, as the caller.
_KEY_ACTIONS: Mapping[str, tuple[str, ...]] = {
    "s3:GetObject": ("kms:Decrypt",),
    "s3:PutObject": ("kms:GenerateDataKey",),
    "sns:Publish": ("kms:Decrypt", "kms:GenerateDataKey"),
    "sqs:ReceiveMessage": ("kms:Decrypt",),
    "sqs:SendMessage": ("kms:Decrypt", "kms:GenerateDataKey"),
}

# The encryption context of S3: https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html
_OBJECT = "kms:EncryptionContext:aws:s3:arn"

# Everybody may ask who they are.
_FREE = {"sts:GetCallerIdentity"}


Forms = Mapping[str, Sequence[str]]
"""The forms of the ARNs of each type of resource that an action knows."""


UNLISTED = ("apigateway:tagresource", "apigateway:untagresource")
"""Actions that cfn-lint's catalogue lacks, though the handlers of AWS::ApiGatewayV2::Stage call them."""


@functools.cache
def catalogue() -> Mapping[str, Forms]:
    """Every IAM action, in lower case, with the resources that it knows."""
    text = (files("cfnlint") / "data/AdditionalSpecs/Policies.json").read_text(encoding="utf-8")
    listed = {
        f"{service}:{action}": {
            kind: known["Resources"][kind]["ARNFormats"]
            for kind in map(str.lower, said.get("Resources", []))
            if kind in known["Resources"]
        }
        for service, known in json.loads(text).items()
        for action, said in known["Actions"].items()
    }
    # Which group's versions are listed is no part of what the role is asked for, as far as AWS documents it.
    return listed | dict.fromkeys(UNLISTED, listed["apigateway:put"]) | {"sagemaker:listmodelpackages": {}}


@dataclass(frozen=True)
class _Surroundings:
    """What is known of the resources that calls are about; see `needs`."""

    keys: Mapping[str, str]
    owners: Mapping[str, str]
    bucket_keys: Collection[str]

    def owner(self, resource: str, caller: str) -> str:
        """The account of a resource; the caller's when the resource does not say it."""
        return self.owners.get(resource.partition("/")[0]) or account_of(resource) or caller


def needs(
    calls: Iterable[Call],
    keys: Mapping[str, str] | None = None,
    *,
    owners: Mapping[str, str] | None = None,
    bucket_keys: Collection[str] = (),
) -> list[Need]:
    """What calls need to be allowed, PassRole and the keys of what is encrypted included.

    Args:
        calls: Those of one role.
        keys: ARN of the key of each bucket, queue, topic and alias that has one, by ARN.
        owners: The account of each bucket, by ARN; the caller's where it is missing.
        bucket_keys: ARNs of the buckets whose objects are encrypted with a bucket key.

    Raises:
        ValueError: An operation has no IAM action of its name, and `_ACTIONS` does not say which it has.
    """
    surroundings = _Surroundings(keys or {}, owners or {}, bucket_keys)
    found = {need.action + need.resource + need.shared: need for call in calls for need in _of_call(call, surroundings)}
    return list(found.values())


def keys(account: "StandInAccount") -> dict[str, str]:
    """ARN of the key of each bucket, queue, topic and alias of an account that has one, by ARN."""
    s3, sqs, sns, kms = (account.client(service) for service in ("s3", "sqs", "sns", "kms"))
    used = {}
    for bucket in s3.list_buckets()["Buckets"]:
        encryption = s3.get_bucket_encryption(Bucket=bucket["Name"])["ServerSideEncryptionConfiguration"]
        used[f"arn:aws:s3:::{bucket['Name']}"] = encryption["Rules"][0]["ApplyServerSideEncryptionByDefault"]
    for url in sqs.list_queues().get("QueueUrls", []):
        attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        used[attributes["QueueArn"]] = attributes
    for topic in sns.list_topics()["Topics"]:
        used[topic["TopicArn"]] = sns.get_topic_attributes(TopicArn=topic["TopicArn"])["Attributes"]
    named = {arn: said.get("KMSMasterKeyID") or said.get("KmsMasterKeyId") for arn, said in used.items()}
    aliases = [alias for alias in kms.list_aliases()["Aliases"] if not alias["AliasName"].startswith("alias/aws/")]
    named |= {alias["AliasArn"]: alias["TargetKeyId"] for alias in aliases}
    return {arn: kms.describe_key(KeyId=key)["KeyMetadata"]["Arn"] for arn, key in named.items() if key}


def handler_permissions(types: Iterable[str]) -> set[str]:
    """What CloudFormation needs to make, change, read and delete resources of some types, as their schemas say."""
    return {
        permission
        for type_ in types
        for handler in schema(type_).get("handlers", {}).values()
        for permission in handler["permissions"]
    }


def _of_call(call: Call, surroundings: _Surroundings) -> Iterator[Need]:
    prefix = _PREFIXES.get(call.service, call.service)
    name = f"{prefix}:{call.operation}"
    if name in _FREE:
        return
    account, keys = account_of(call.role), surroundings.keys
    addressed, call = _addressed(call)
    context = {**_context(call, account), **_tags(call.parameters)}
    # A parameter that is made with tags is tagged: systems-manager/latest/userguide/tagging-parameters.html.
    tagged = ("ssm:AddTagsToResource",) if name == "ssm:PutParameter" and "Tags" in call.parameters else ()
    of_version = _OF_VERSIONS.get(name) if "VersionId" in call.parameters else None
    for action in (*(of_version or _ACTIONS.get(name, (name,))), *tagged):
        if action.lower() not in catalogue():
            raise ValueError(f"there is no IAM action {action}: say in _ACTIONS what {name} needs")
        for resource in _resources(action, call, addressed):
            if prefix == "kms":
                # An alias stands for its key: https://docs.aws.amazon.com/kms/latest/developerguide/alias-authorization.html
                resource = keys.get(resource.replace(":key/alias/", ":alias/"), resource)
            where = {"aws:ResourceAccount": surroundings.owner(resource, account)}
            yield Need(action, resource, name, context | where, _shared(action, call, addressed, account))
            holder = resource.partition("/")[0] if prefix == "s3" else resource
            for key_action in _KEY_ACTIONS.get(action, ()) if holder in keys else ():
                where = {
                    "aws:ResourceAccount": account_of(keys[holder]),
                    "kms:ViaService": f"{prefix}.{call.region}.amazonaws.com",
                }
                if prefix == "s3":
                    where[_OBJECT] = holder if holder in surroundings.bucket_keys else resource
                yield Need(key_action, keys[holder], name, context | where)
    if "CopySource" in call.parameters:
        yield from _of_call(
            replace(call, operation="GetObject", parameters=_source(call.parameters["CopySource"])), surroundings
        )
    if name == "sagemaker:CreateModel":
        yield from _foreign_packages(call, account, context)
    for role in call.passed if name != "sts:AssumeRole" and prefix != "iam" else ():
        where = {"aws:ResourceAccount": account_of(role), "iam:PassedToService": f"{prefix}.amazonaws.com"}
        yield Need("iam:PassRole", role, name, context | where)


def _addressed(call: Call) -> tuple[str, Call]:
    """The account that a call is about, and the call with the name of its group or alias where it has the ARN."""
    parameters, account = call.parameters, account_of(call.role)
    if re.search(r"/\d{12}/", str(parameters.get("QueueUrl", ""))):
        account = parameters["QueueUrl"].split("/")[-2]
    group = str(parameters.get("ModelPackageGroupName", ""))
    if group.startswith("arn:"):
        account = account_of(group)
        parameters = {**parameters, "ModelPackageGroupName": group.rpartition("/")[2]}
    key = str(parameters.get("KeyId", ""))
    if key.startswith("arn:") and ":alias/" in key:
        account = account_of(key)
        parameters = {**parameters, "KeyId": key.rpartition(":")[2]}
    return str(parameters.get("registryId", account)), replace(call, parameters=parameters)


def _shared(action: str, call: Call, addressed: str, account: str) -> str:
    """What the policy of another account's group names for the listing of its versions: the versions.

    https://docs.aws.amazon.com/sagemaker/latest/dg/model-registry-deploy-xaccount.html
    """
    if action != "sagemaker:ListModelPackages" or addressed == account:
        return ""
    group = call.parameters["ModelPackageGroupName"]
    return f"arn:aws:sagemaker:{call.region}:{addressed}:model-package/{group}/1"


def _foreign_packages(call: Call, account: str, context: Mapping[str, Any]) -> Iterator[Need]:
    """What the groups of other accounts must allow to whoever makes a model of their versions.

    https://docs.aws.amazon.com/sagemaker/latest/dg/model-registry-deploy-xaccount.html
    """
    containers = [*call.parameters.get("Containers", []), call.parameters.get("PrimaryContainer", {})]
    for package in {container.get("ModelPackageName", "") for container in containers}:
        if account_of(package) not in ("", account):
            where = {"aws:ResourceAccount": account_of(package)}
            for action in ("sagemaker:CreateModel", "sagemaker:DescribeModelPackage"):
                yield Need(action, package, "sagemaker:CreateModel", {**context, **where})


def _source(copied: str | Mapping[str, Any]) -> Mapping[str, Any]:
    if isinstance(copied, str):
        bucket, _, key = copied.lstrip("/").partition("/")
        return {"Bucket": bucket, "Key": key}
    return copied


def _context(call: Call, account: str) -> dict[str, Any]:
    return {
        "aws:PrincipalAccount": account,
        "aws:PrincipalArn": call.role,
        "aws:RequestedRegion": call.region,
        "kms:CallerAccount": account,
        "aws:SecureTransport": True,
        **({"cloudwatch:namespace": call.parameters["Namespace"]} if "MetricData" in call.parameters else {}),
    }


def _tags(parameters: Mapping[str, Any]) -> dict[str, Any]:
    tags = next((value for name, value in parameters.items() if name.lower() == "tags"), None) or {}
    pairs = (
        tags
        if isinstance(tags, dict)
        else {tag.get("Key", tag.get("key")): tag.get("Value", tag.get("value")) for tag in tags}
    )
    return (
        {"aws:TagKeys": list(pairs), **{f"aws:RequestTag/{key}": value for key, value in pairs.items()}}
        if pairs
        else {}
    )


def _resources(action: str, call: Call, account: str) -> list[str]:
    """The ARNs of what a call touches; `*` when the action knows none, or the call does not say which."""
    found = []
    for kind, forms in catalogue()[action.lower()].items():
        for form in forms:
            form = (
                form.replace("${Partition}", "aws").replace("${Region}", call.region).replace("${Account}", "{account}")
            )
            said = [text for text in _texts(call.parameters) if re.fullmatch(form.replace("{account}", "[0-9]*"), text)]
            made = _made(f"{action.partition(':')[0]}:{kind}", call.parameters)
            if said:
                found.append(said[0])
            elif made:
                found.append(form.replace("{account}", account).replace(".*", made.lstrip("/")))
    return found or ["*"]


def _made(kind: str, parameters: Mapping[str, Any]) -> str | None:
    """The last part of the ARN of a type of resource."""
    known = {"QueueName": str(parameters.get("QueueUrl", "")).rpartition("/")[2], **parameters}
    own_name = "".join(word.title() for word in kind.partition(":")[2].split("-"))
    for form in _RESOURCES.get(kind, (f"{{{own_name}Name}}",)):
        try:
            return form.format_map(known)
        except (KeyError, IndexError):
            continue
    return None


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(item)

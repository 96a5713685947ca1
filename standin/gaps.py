"""Operations of AWS that moto lacks.

All of them speak JSON and name the operation in a header; `gateway` answers them in front of moto's server. What a
resource consists of is read from botocore's model of its service.
"""

import functools
import json
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import botocore.session
from botocore import xform_name
from moto.backends import get_backend
from moto.core.utils import utcnow

from standin.existing_principals import missing_principals
from standin.shapes import faults, input_shape

Message = dict[str, Any]
_BOTOCORE = botocore.session.get_session()


class Where(NamedTuple):
    """Where a request goes.

    Attributes:
        account: Number of the account.
        region: The Region.
    """

    account: str
    region: str


class RefusedError(Exception):
    """An answer that is an error.

    Args:
        code: The error code that AWS gives it.
        message: The reason.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def _found(things: Mapping[Any, Any], name: Any) -> Any:
    if name not in things:
        raise RefusedError("ResourceNotFoundException", f"There is no {name}.")
    return things[name]


@dataclass
class _Family:
    """The operations that create, change, describe and delete one kind of resource.

    Attributes:
        service: As boto3 calls it.
        noun: What follows the verb in the names of its operations.
        states: What a description also says.
        describe: The verb that describes one.
    """

    service: str
    noun: str
    states: Message = field(default_factory=dict)
    describe: str = "Describe"

    def __post_init__(self) -> None:
        model = _BOTOCORE.get_service_model(self.service)
        self._arn = f"arn:aws:{model.signing_name}:{{}}:{{}}:{xform_name(self.noun, '-')}/{{}}"
        self._made = list(model.operation_model(f"Create{self.noun}").output_shape.members)
        described = model.operation_model(f"{self.describe}{self.noun}")
        self._identity: list[str] = described.input_shape.required_members
        self._wrapped = list(described.output_shape.members) == [self.noun]

    def operations(self, records: "Records") -> Iterable[tuple[tuple[str, str], "_Operation"]]:
        verbs = {"Create": self._create, "Update": self._update, self.describe: self._show, "Delete": self._delete}
        for verb, operation in verbs.items():
            yield (self.service, f"{verb}{self.noun}"), functools.partial(operation, records)

    def _create(self, records: "Records", where: Where, request: Message) -> Message:
        name = request.get(self._identity[-1]) or request[f"{self.noun}Name"]
        # What is described by its ARN has an id in it, not its name:
        # https://docs.aws.amazon.com/codeconnections/latest/APIReference/API_CreateConnection.html
        last = name.lower() if self._identity[-1] in request else uuid.uuid5(uuid.NAMESPACE_URL, name)
        arns = {
            member: self._arn.format(where.region, where.account, last)
            for member in self._made
            if member.endswith("Arn")
        }
        record = {**request, **arns, **self.states}
        if records.setdefault(self._key(where, record), record) is not record:
            raise RefusedError("ResourceInUse", f"{self.noun} {name} exists already.")
        return arns

    def _show(self, records: "Records", where: Where, request: Message) -> Message:
        record = _found(records, self._key(where, request))
        return {self.noun: record} if self._wrapped else record

    def _update(self, records: "Records", where: Where, request: Message) -> Message:
        record = _found(records, self._key(where, request))
        record.update(request)
        return {member: record[member] for member in self._made if member in record}

    def _delete(self, records: "Records", where: Where, request: Message) -> Message:
        _found(records, self._key(where, request))
        del records[self._key(where, request)]
        return {}

    def _key(self, where: Where, message: Message) -> tuple[str, ...]:
        return (*where, self.service, self.noun, *(message[member] for member in self._identity))


Records = dict[tuple[str, ...], Message]
"""What is kept here instead of in moto: by account, Region, service, kind and name."""
_Operation = Callable[[Where, Message], Message]
Named = Mapping[tuple[str, str], Callable[[Where, Message], Any]]
"""What answers, or refuses, operations; by service and name."""


def _families() -> Iterable[_Family]:
    yield _Family("sagemaker", "UserProfile", {"Status": "InService"})
    yield _Family("sagemaker", "Space", {"Status": "InService"})
    yield _Family("sagemaker", "StudioLifecycleConfig")
    yield _Family("sagemaker", "MonitoringSchedule", {"MonitoringScheduleStatus": "Scheduled"})
    yield _Family("codeconnections", "Connection", {"ConnectionStatus": "PENDING"}, describe="Get")


def _assign(thing: Any, request: Message, identity: str) -> Message:
    """Change what moto holds, whose attributes are named as the members of the request."""
    for name, value in request.items():
        if name != identity:
            if not hasattr(thing, xform_name(name)):
                raise RefusedError("ValidationException", f"moto keeps no {name} of a {type(thing).__name__}.")
            setattr(thing, xform_name(name), value)
    return {}


def _feature_group(sagemaker: Any, request: Message) -> Message:
    names = {group.feature_group_name: group for group in sagemaker.feature_groups.values()}
    description: Message = _found(names, request["FeatureGroupName"]).describe()
    return description


def _delete_feature_group(sagemaker: Any, request: Message) -> Message:
    del sagemaker.feature_groups[_feature_group(sagemaker, request)["FeatureGroupArn"]]
    return {}


_CAPACITY = ("CurrentInstanceCount", "DesiredInstanceCount")


def ring_in_next_update(account: str, region: str, name: str) -> None:
    """Let an alarm ring in the next update of an endpoint: it is accepted, and ends InService on what it left."""
    vars(get_backend("sagemaker")[account][region].endpoints[name])["rings"] = True


def _update_endpoint(sagemaker: Any, request: Message) -> Message:
    """As AWS does, in the stricter reading where its pages leave one open.

    "To update an endpoint, you must create a new EndpointConfig", and the one in use must not be deleted:
    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_UpdateEndpoint.html. An update of one whose
    configuration is gone is refused: https://github.com/hashicorp/terraform-provider-aws/issues/40048. No page says
    that an update can ask for a fleet of no instance, as one that is asleep would by what it retains.
    """
    endpoint = _found(sagemaker.endpoints, request["EndpointName"])
    config = _found(sagemaker.endpoint_configs, request["EndpointConfigName"])
    if endpoint.endpoint_config_name not in sagemaker.endpoint_configs:
        raise RefusedError(
            "ValidationException", f'Could not find endpoint configuration "{endpoint.endpoint_config_name}".'
        )
    if endpoint.endpoint_config_name == request["EndpointConfigName"]:
        raise RefusedError("ValidationException", f"The endpoint has the configuration {config.endpoint_config_name}.")
    before = {variant["VariantName"]: variant for variant in endpoint.production_variants}
    variants = endpoint._process_production_variants(config.production_variants)
    excluded = {item["VariantPropertyType"] for item in request.get("ExcludeRetainedVariantProperties", [])}
    if request.get("RetainAllVariantProperties") and "DesiredInstanceCount" not in excluded:
        for variant in variants:
            kept = before.get(variant["VariantName"], {})
            variant.update({name: kept[name] for name in _CAPACITY if name in kept})
    if any(variant.get("DesiredInstanceCount") == 0 for variant in variants):
        raise RefusedError("ValidationException", "An update cannot ask for no instance.")
    if not vars(endpoint).pop("rings", False):
        endpoint.endpoint_config_name, endpoint.production_variants = request["EndpointConfigName"], variants
    endpoint.last_modified_time = utcnow()
    return {"EndpointArn": endpoint.arn}


def _list_tags(sagemaker: Any, request: Message) -> Message:
    """As AWS does: of what is not there it says so, https://github.com/boto/boto3/issues/4606; moto fails."""
    if (resource := sagemaker._get_resource_from_arn(request["ResourceArn"])) is None:
        raise RefusedError("ValidationException", "Resource does not exist.")
    return {"Tags": resource.tags}


def _put_group_policy(sagemaker: Any, request: Message) -> Message:
    group = _found(sagemaker.model_package_groups, request["ModelPackageGroupName"])
    if missing := missing_principals(request["ResourcePolicy"]):
        raise RefusedError("ValidationException", f"Invalid principal in policy: {missing[0]}")
    group.resource_policy = request["ResourcePolicy"]
    return {"ModelPackageGroupArn": group.arn}


def _group_policy(sagemaker: Any, request: Message) -> Message:
    group = _found(sagemaker.model_package_groups, request["ModelPackageGroupName"])
    if "resource_policy" not in vars(group):
        raise RefusedError("ValidationException", f"Cannot find resource policy for: {group.arn}")
    return {"ResourcePolicy": group.resource_policy}


def _delete_group_policy(sagemaker: Any, request: Message) -> Message:
    _group_policy(sagemaker, request)
    del sagemaker.model_package_groups[request["ModelPackageGroupName"]].resource_policy
    return {}


def _delete_from(collection: str, identity: str) -> Callable[[Any, Message], Message]:
    def delete(backend: Any, request: Message) -> Message:
        things = getattr(backend, collection)
        _found(things, request[identity])
        del things[request[identity]]
        return {}

    return delete


def _update_in(collection: str, identity: str) -> Callable[[Any, Message], Message]:
    return lambda backend, request: _assign(_found(getattr(backend, collection), request[identity]), request, identity)


def _update_project(codebuild: Any, request: Message) -> Message:
    project = _found(codebuild.codebuild_projects, request["name"]).project_metadata
    project.update(request)
    return {"project": {"name": project["name"], "arn": project["arn"]}}


def _report_groups(codebuild: Any) -> dict[str, Message]:
    groups: dict[str, Message] = vars(codebuild).setdefault("report_groups", {})
    return groups


def _create_report_group(codebuild: Any, request: Message) -> Message:
    groups = _report_groups(codebuild)
    arn = f"arn:aws:codebuild:{codebuild.region_name}:{codebuild.account_id}:report-group/{request['name']}"
    if arn in groups:
        raise RefusedError("ResourceAlreadyExistsException", f"The report group {request['name']} exists already.")
    groups[arn] = {**request, "arn": arn}
    return {"reportGroup": groups[arn]}


def _list_report_groups(codebuild: Any, _: Message) -> Message:
    return {"reportGroups": list(_report_groups(codebuild))}


def _show_report_groups(codebuild: Any, request: Message) -> Message:
    groups, asked = _report_groups(codebuild), request["reportGroupArns"]
    return {
        "reportGroups": [groups[arn] for arn in asked if arn in groups],
        "reportGroupsNotFound": [arn for arn in asked if arn not in groups],
    }


def _update_report_group(codebuild: Any, request: Message) -> Message:
    group = _found(_report_groups(codebuild), request["arn"])
    group.update(request)
    return {"reportGroup": group}


def _delete_report_group(codebuild: Any, request: Message) -> Message:
    """As AWS does with one that holds reports, as every group does after the first build."""
    if not request.get("deleteReports"):
        raise RefusedError("InvalidInputException", f"The report group {request['arn']} holds reports.")
    del _report_groups(codebuild)[request["arn"]]
    return {}


def _describe_source(codecommit: Any, request: Message) -> Message:
    metadata = _found(codecommit.repositories, request["repositoryName"]).repository_metadata
    metadata["repositoryDescription"] = request["repositoryDescription"]
    return {}


def _update_model_package(sagemaker: Any, request: Message) -> Message:
    """As AWS does: what is not said stays as it is, where moto forgets it."""
    arn = request["ModelPackageArn"]
    package = _found(sagemaker.model_packages, sagemaker.model_package_name_mapping.get(arn, arn))
    if "ModelApprovalStatus" in request:
        package.set_model_approval_status(request["ModelApprovalStatus"])
    if "ApprovalDescription" in request:
        package.approval_description = request["ApprovalDescription"]
    metadata = {**(package.customer_metadata_properties or {}), **request.get("CustomerMetadataProperties", {})}
    package.customer_metadata_properties = metadata
    package.remove_customer_metadata_property(request.get("CustomerMetadataPropertiesToRemove", []))
    package.modifications_done()
    return {"ModelPackageArn": arn}


def _start_pipeline_execution(codepipeline: Any, request: Message) -> Message:
    """As AWS does: the same token starts one execution, and one that was started is under way; moto runs none."""
    if wrong := list(faults(request, input_shape("codepipeline", "StartPipelineExecution"), strict=True)):
        raise RefusedError("ValidationException", f"{wrong[0]}")
    pipeline = _found(codepipeline.pipelines, request["name"])
    declared = {variable["name"] for variable in pipeline.pipeline.get("variables", [])}
    if unknown := {variable["name"] for variable in request.get("variables", [])} - declared:
        raise RefusedError("ValidationException", f"The pipeline has no variable {', '.join(unknown)}.")
    token = request.get("clientRequestToken")
    for execution in pipeline.executions.values():
        if token and getattr(execution, "token", None) == token:
            return {"pipelineExecutionId": execution.pipeline_execution_id}
    identity = codepipeline.start_pipeline_execution(request["name"], request.get("variables"))
    pipeline.executions[identity].status = "InProgress"
    pipeline.executions[identity].token = token
    return {"pipelineExecutionId": identity}


def _stop_pipeline_execution(codepipeline: Any, request: Message) -> Message:
    executions = _found(codepipeline.pipelines, request["pipelineName"]).executions
    execution = _found(executions, request["pipelineExecutionId"])
    if execution.status != "InProgress":
        raise RefusedError("PipelineExecutionNotStoppableException", f"The execution is {execution.status}.")
    execution.status, execution.status_summary = "Stopping", request.get("reason")
    return {"pipelineExecutionId": execution.pipeline_execution_id}


def _start_sagemaker_pipeline(sagemaker: Any, request: Message) -> Message:
    """As AWS does: the same token starts one execution, which is under way; moto's has succeeded at once.

    Parameters that the definition does not declare are refused, and so is one without default and value:
    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_StartPipelineExecution.html
    """
    if wrong := list(faults(request, input_shape("sagemaker", "StartPipelineExecution"), strict=True)):
        raise RefusedError("ValidationException", f"{wrong[0]}")
    pipeline = _sagemaker_pipeline(sagemaker, request["PipelineName"])
    given = {parameter["Name"]: parameter["Value"] for parameter in request.get("PipelineParameters", [])}
    declared = {each["Name"]: each for each in json.loads(pipeline.pipeline_definition).get("Parameters", [])}
    if unknown := given.keys() - declared.keys():
        raise RefusedError("ValidationException", f"The pipeline has no parameter {', '.join(sorted(unknown))}.")
    if open_ := [name for name, each in declared.items() if "DefaultValue" not in each and name not in given]:
        raise RefusedError("ValidationException", f"There is no value for the parameter {', '.join(open_)}.")
    for arn, execution in pipeline.pipeline_executions.items():
        if execution.client_request_token == request["ClientRequestToken"]:
            return {"PipelineExecutionArn": arn}
    answer: Message = sagemaker.start_pipeline_execution(
        request["PipelineName"], "", request.get("PipelineParameters", []), "", {}, request["ClientRequestToken"]
    )
    pipeline.pipeline_executions[answer["PipelineExecutionArn"]].pipeline_execution_status = "Executing"
    return answer


def _sagemaker_pipeline(sagemaker: Any, name: str) -> Any:
    """Return moto's record of a pipeline; what is missing is said as the API reference of DescribePipeline says it."""
    if name not in sagemaker.pipelines:
        raise RefusedError("ResourceNotFound", f"Pipeline '{name}' does not exist.")
    return sagemaker.pipelines[name]


def _sagemaker_execution(sagemaker: Any, request: Message) -> Any:
    arn = request["PipelineExecutionArn"]
    executions = _sagemaker_pipeline(sagemaker, arn.split("/")[1]).pipeline_executions
    if arn not in executions:
        raise RefusedError("ResourceNotFound", f"Pipeline execution {arn} does not exist.")
    return executions[arn]


def _describe_sagemaker_pipeline(sagemaker: Any, request: Message) -> Message:
    _sagemaker_pipeline(sagemaker, request["PipelineName"])
    described: Message = sagemaker.describe_pipeline(request["PipelineName"])
    return described


def _describe_sagemaker_execution(sagemaker: Any, request: Message) -> Message:
    _sagemaker_execution(sagemaker, request)
    described: Message = sagemaker.describe_pipeline_execution(request["PipelineExecutionArn"])
    return described


def _sagemaker_steps(sagemaker: Any, request: Message) -> Message:
    return {"PipelineExecutionSteps": vars(_sagemaker_execution(sagemaker, request)).get("steps", [])}


def end_sagemaker_pipeline(account: str, region: str, execution: str, status: str, steps: list[Message]) -> None:
    """Let an execution of a SageMaker pipeline end.

    Args:
        account: The account's number.
        region: Its Region.
        execution: The ARN of the execution.
        status: Succeeded, Failed or Stopped.
        steps: What ListPipelineExecutionSteps says of it.
    """
    record = _sagemaker_execution(get_backend("sagemaker")[account][region], {"PipelineExecutionArn": execution})
    record.pipeline_execution_status, record.steps = status, steps


_GAPS: Mapping[tuple[str, str], Callable[[Any, Message], Message]] = {
    ("codebuild", "BatchGetReportGroups"): _show_report_groups,
    ("codebuild", "CreateReportGroup"): _create_report_group,
    ("codebuild", "DeleteReportGroup"): _delete_report_group,
    ("codebuild", "ListReportGroups"): _list_report_groups,
    ("codebuild", "UpdateProject"): _update_project,
    ("codebuild", "UpdateReportGroup"): _update_report_group,
    ("codecommit", "UpdateRepositoryDescription"): _describe_source,
    ("codepipeline", "StartPipelineExecution"): _start_pipeline_execution,
    ("codepipeline", "StopPipelineExecution"): _stop_pipeline_execution,
    ("sagemaker", "DeleteFeatureGroup"): _delete_feature_group,
    ("sagemaker", "DeleteModelPackageGroup"): _delete_from("model_package_groups", "ModelPackageGroupName"),
    ("sagemaker", "DeleteModelPackageGroupPolicy"): _delete_group_policy,
    ("sagemaker", "DescribeFeatureGroup"): _feature_group,
    ("sagemaker", "DescribePipeline"): _describe_sagemaker_pipeline,
    ("sagemaker", "DescribePipelineExecution"): _describe_sagemaker_execution,
    ("sagemaker", "GetModelPackageGroupPolicy"): _group_policy,
    ("sagemaker", "ListPipelineExecutionSteps"): _sagemaker_steps,
    ("sagemaker", "ListTags"): _list_tags,
    ("sagemaker", "PutModelPackageGroupPolicy"): _put_group_policy,
    ("sagemaker", "StartPipelineExecution"): _start_sagemaker_pipeline,
    ("sagemaker", "UpdateDomain"): _update_in("domains", "DomainId"),
    ("sagemaker", "UpdateEndpoint"): _update_endpoint,
    ("sagemaker", "UpdateModelPackage"): _update_model_package,
    ("sagemaker", "UpdateNotebookInstance"): _update_in("notebook_instances", "NotebookInstanceName"),
}


def _in_moto(service: str, change: Callable[[Any, Message], Message]) -> _Operation:
    backends = get_backend(service)  # type: ignore[call-overload]
    return lambda where, request: change(backends[where.account][where.region], request)


def operations(records: Records) -> dict[tuple[str, str], _Operation]:
    """What is answered here instead of by moto.

    Args:
        records: Where that is kept which moto has no place for.
    """
    found = {name: _in_moto(name[0], change) for name, change in _GAPS.items()}
    for family in _families():
        found.update(family.operations(records))
    return found

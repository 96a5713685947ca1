"""Resources of SageMaker."""

from collections.abc import Mapping
from dataclasses import replace

from standin.kinds.kind import Kind, Put, from_answer, from_properties


def _sagemaker(
    noun: str, ref: str = "", update: bool = False, name: str = "", puts: Mapping[str, Put] | None = None
) -> Kind:
    """A resource of SageMaker that is known by its name."""
    name = name or f"{noun}Name"
    return Kind(
        service="sagemaker",
        create=f"Create{noun}",
        ref=ref or f"answer.{noun}Arn",
        name=name,
        identity={name: f"properties.{name}"},
        attributes={**from_answer(f"{noun}Arn"), name: f"properties.{name}"},
        read=f"Describe{noun}",
        update=f"Update{noun}" if update else "",
        delete=f"Delete{noun}",
        puts=puts or {},
    )


def _in_domain(noun: str) -> Kind:
    """A resource of SageMaker whose name is known within a Studio domain."""
    return replace(
        _sagemaker(noun, update=True), ref=f"properties.{noun}Name", identity=from_properties("DomainId", f"{noun}Name")
    )


def _job_definition(noun: str) -> Kind:
    name = "JobDefinitionName"
    return Kind(
        service="sagemaker",
        create=f"Create{noun}",
        ref="answer.JobDefinitionArn",
        name=name,
        identity=from_properties(name),
        attributes=from_answer("JobDefinitionArn"),
        read=f"Describe{noun}",
        delete=f"Delete{noun}",
    )


SAGEMAKER: Mapping[str, Kind] = {
    "AWS::SageMaker::DataQualityJobDefinition": _job_definition("DataQualityJobDefinition"),
    "AWS::SageMaker::Domain": Kind(
        service="sagemaker",
        create="CreateDomain",
        # moto returns the ARN alone when a domain is created; its last part is the id.
        ref="split(answer.DomainArn, '/')[-1]",
        name="DomainName",
        identity={"DomainId": "id"},
        attributes={**from_answer("DomainArn"), "DomainId": "id"},
        read="DescribeDomain",
        update="UpdateDomain",
        delete="DeleteDomain",
    ),
    "AWS::SageMaker::Endpoint": _sagemaker("Endpoint", update=True),
    "AWS::SageMaker::EndpointConfig": _sagemaker("EndpointConfig"),
    "AWS::SageMaker::FeatureGroup": _sagemaker("FeatureGroup", ref="properties.FeatureGroupName"),
    "AWS::SageMaker::Model": _sagemaker("Model"),
    "AWS::SageMaker::ModelBiasJobDefinition": _job_definition("ModelBiasJobDefinition"),
    "AWS::SageMaker::ModelExplainabilityJobDefinition": _job_definition("ModelExplainabilityJobDefinition"),
    "AWS::SageMaker::ModelPackageGroup": _sagemaker(
        "ModelPackageGroup",
        puts={
            "ModelPackageGroupPolicy": Put(
                "PutModelPackageGroupPolicy",
                "{ModelPackageGroupName: properties.ModelPackageGroupName, ResourcePolicy: value}",
                undo="DeleteModelPackageGroupPolicy",
            )
        },
    ),
    "AWS::SageMaker::ModelQualityJobDefinition": _job_definition("ModelQualityJobDefinition"),
    "AWS::SageMaker::MonitoringSchedule": _sagemaker("MonitoringSchedule", update=True),
    "AWS::SageMaker::NotebookInstance": _sagemaker("NotebookInstance", update=True),
    "AWS::SageMaker::NotebookInstanceLifecycleConfig": _sagemaker("NotebookInstanceLifecycleConfig"),
    "AWS::SageMaker::Pipeline": Kind(
        service="sagemaker",
        create="CreatePipeline",
        ref="properties.PipelineName",
        name="PipelineName",
        request="merge(properties, properties.PipelineDefinition.{PipelineDefinition: PipelineDefinitionBody,"
        " PipelineDefinitionS3Location: PipelineDefinitionS3Location && {Bucket: PipelineDefinitionS3Location.Bucket,"
        " ObjectKey: PipelineDefinitionS3Location.Key}})",
        identity=from_properties("PipelineName"),
        read="DescribePipeline",
        update="UpdatePipeline",
        delete="DeletePipeline",
    ),
    "AWS::SageMaker::Space": _in_domain("Space"),
    "AWS::SageMaker::StudioLifecycleConfig": _sagemaker("StudioLifecycleConfig"),
    "AWS::SageMaker::UserProfile": _in_domain("UserProfile"),
}

"""What builds and deploys: sources, builds, pipelines and images."""

from collections.abc import Mapping

from standin.kinds.kind import Kind, Put, from_answer

DELIVERY: Mapping[str, Kind] = {
    "AWS::CodeBuild::Project": Kind(
        service="codebuild",
        create="CreateProject",
        ref="properties.Name",
        name="Name",
        # moto asks for locations where AWS knows that CodePipeline passes the artifacts.
        request="merge(properties, {Source: merge({Location: 'codepipeline'}, properties.Source),"
        " Artifacts: merge({Location: 'codepipeline'}, properties.Artifacts)})",
        identity={"name": "properties.Name", "names": "[properties.Name]"},
        attributes={"Arn": "answer.project.arn"},
        read="BatchGetProjects",
        exists="projects[0]",
        update="UpdateProject",
        delete="DeleteProject",
    ),
    "AWS::CodeBuild::ReportGroup": Kind(
        service="codebuild",
        create="CreateReportGroup",
        ref="answer.reportGroup.arn",
        name="Name",
        identity={"arn": "id", "reportGroupArns": "[id]", "deleteReports": "properties.DeleteReports"},
        attributes={"Arn": "answer.reportGroup.arn"},
        read="BatchGetReportGroups",
        exists="reportGroups[0]",
        update="UpdateReportGroup",
        delete="DeleteReportGroup",
    ),
    "AWS::CodeCommit::Repository": Kind(
        service="codecommit",
        create="CreateRepository",
        ref="answer.repositoryMetadata.repositoryId",
        name="RepositoryName",
        identity={"repositoryName": "properties.RepositoryName"},
        attributes={"Arn": "answer.repositoryMetadata.Arn", "Name": "properties.RepositoryName"},
        read="GetRepository",
        delete="DeleteRepository",
        puts={
            "RepositoryDescription": Put(
                "UpdateRepositoryDescription",
                "{repositoryName: properties.RepositoryName, repositoryDescription: value}",
            )
        },
    ),
    "AWS::CodeConnections::Connection": Kind(
        service="codeconnections",
        create="CreateConnection",
        ref="answer.ConnectionArn",
        name="ConnectionName",
        identity={"ConnectionArn": "id"},
        attributes=from_answer("ConnectionArn"),
        read="GetConnection",
        delete="DeleteConnection",
    ),
    "AWS::CodePipeline::Pipeline": Kind(
        service="codepipeline",
        create="CreatePipeline",
        ref="properties.Name",
        name="Name",
        request="{pipeline: merge(properties, {version: `1`, Tags: null, RestartExecutionOnUpdate: null}),"
        " tags: properties.Tags}",
        identity={"name": "properties.Name"},
        attributes={"Version": "to_string(answer.pipeline.version)"},
        read="GetPipeline",
        update="UpdatePipeline",
        delete="DeletePipeline",
    ),
    "AWS::ECR::Repository": Kind(
        service="ecr",
        create="CreateRepository",
        ref="properties.RepositoryName",
        name="RepositoryName",
        request="merge(properties, {EmptyOnDelete: null})",
        identity={
            "repositoryName": "properties.RepositoryName",
            "repositoryNames": "[properties.RepositoryName]",
            "force": "properties.EmptyOnDelete",
        },
        attributes={
            "Arn": "answer.repository.repositoryArn",
            "RepositoryUri": "answer.repository.repositoryUri",
        },
        read="DescribeRepositories",
        described="{repository: repositories[0]}",
        delete="DeleteRepository",
        puts={
            "ImageScanningConfiguration": Put(
                "PutImageScanningConfiguration", "{repositoryName: id, imageScanningConfiguration: value}"
            ),
            "ImageTagMutability": Put("PutImageTagMutability", "{repositoryName: id, imageTagMutability: value}"),
            "LifecyclePolicy": Put(
                "PutLifecyclePolicy", "{repositoryName: id, lifecyclePolicyText: value.LifecyclePolicyText}"
            ),
            "RepositoryPolicyText": Put(
                "SetRepositoryPolicy", "{repositoryName: id, policyText: value}", undo="DeleteRepositoryPolicy"
            ),
        },
    ),
}

"""What services do with the roles that a project hands them, which no call of the project's own shows.

Entered 2026-11-21. Each row names the page of AWS's documentation that says it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from standin.needs import Need

_DOCS = "https://docs.aws.amazon.com"


@dataclass(frozen=True)
class ServiceUse:
    """What a service does as a role, for one feature.

    Attributes:
        source: Where AWS says so.
        needs: Actions and the resources that each is used on, with `{names}` of what the project calls them.
        context: Values of condition keys, likewise.
    """

    source: str
    needs: tuple[tuple[str, str], ...]
    context: Mapping[str, str] = field(default_factory=dict)


_LOGS = tuple(
    (action, "arn:aws:logs:{region}:{account}:log-group:{log_group}:log-stream:one")
    for action in ("logs:CreateLogStream", "logs:PutLogEvents")
)
_JOB_LOGS = tuple(
    (action, "arn:aws:logs:{region}:{account}:log-group:{log_group}:*")
    for action in ("logs:CreateLogGroup", "logs:DescribeLogStreams")
)
_BUCKET = tuple(
    (f"s3:{action}", "arn:aws:s3:::{bucket}") for action in ("GetBucketAcl", "GetBucketLocation", "GetBucketVersioning")
)
_SAGEMAKER = "arn:aws:sagemaker:{region}:{account}"
_PULL = tuple(
    (f"ecr:{action}", "arn:aws:ecr:{region}:{account}:repository/{repository}")
    for action in ("BatchCheckLayerAvailability", "BatchGetImage", "GetDownloadUrlForLayer")
)

SERVICE_SIDE: Mapping[str, ServiceUse] = {
    "codebuild artifacts": ServiceUse(
        f"{_DOCS}/codebuild/latest/userguide/setting-up-service-role.html",
        tuple(
            (f"s3:{action}", "arn:aws:s3:::{bucket}/{prefix}one")
            for action in ("GetObject", "GetObjectVersion", "PutObject")
        ),
    ),
    "codebuild artifact key": ServiceUse(
        f"{_DOCS}/codebuild/latest/userguide/setting-up-kms.html",
        tuple(
            (f"kms:{action}", "{key}")
            for action in ("Decrypt", "DescribeKey", "Encrypt", "GenerateDataKey", "ReEncryptFrom", "ReEncryptTo")
        ),
    ),
    "codebuild logs": ServiceUse(f"{_DOCS}/codebuild/latest/userguide/setting-up-service-role.html", _LOGS),
    "codebuild reports": ServiceUse(
        f"{_DOCS}/codebuild/latest/userguide/test-permissions.html",
        tuple(
            (f"codebuild:{action}", "arn:aws:codebuild:{region}:{account}:report-group/{group}")
            for action in ("BatchPutTestCases", "CreateReport", "CreateReportGroup", "UpdateReport")
        ),
    ),
    "codebuild source": ServiceUse(
        f"{_DOCS}/codebuild/latest/userguide/setting-up-service-role.html",
        (
            *(
                (f"s3:{action}", "arn:aws:s3:::{bucket}")
                for action in ("GetBucketAcl", "GetBucketLocation", "ListBucket")
            ),
            *((f"s3:{action}", "arn:aws:s3:::{bucket}/{prefix}one") for action in ("GetObject", "GetObjectVersion")),
        ),
    ),
    "codepipeline approval": ServiceUse(
        f"{_DOCS}/codepipeline/latest/userguide/approvals-iam-permissions.html", (("sns:Publish", "{topic}"),)
    ),
    "codepipeline artifacts": ServiceUse(
        f"{_DOCS}/codepipeline/latest/userguide/how-to-custom-role.html",
        (
            *_BUCKET,
            *(
                (f"s3:{action}", "arn:aws:s3:::{bucket}/{prefix}one")
                for action in ("GetObject", "GetObjectVersion", "PutObject", "PutObjectAcl")
            ),
        ),
    ),
    "codepipeline build": ServiceUse(
        f"{_DOCS}/codepipeline/latest/userguide/action-reference-CodeBuild.html",
        tuple(
            (f"codebuild:{action}", "arn:aws:codebuild:{region}:{account}:project/{project}")
            for action in ("BatchGetBuilds", "StartBuild")
        ),
    ),
    "codepipeline codecommit": ServiceUse(
        f"{_DOCS}/codepipeline/latest/userguide/how-to-custom-role.html",
        (
            (
                "s3:ListBucket",
                "arn:aws:s3:::{bucket}",
            ),  # troubleshooting.html: a missing artifact is said to be missing
            *(
                (f"codecommit:{action}", "arn:aws:codecommit:{region}:{account}:{repository}")
                for action in (
                    *("CancelUploadArchive", "GetBranch", "GetCommit"),
                    *("GetUploadArchiveStatus", "UploadArchive"),
                )
            ),
        ),
    ),
    "codepipeline connection": ServiceUse(
        f"{_DOCS}/codepipeline/latest/userguide/action-reference-CodestarConnectionSource.html",
        (("codeconnections:UseConnection", "{connection}"), ("codestar-connections:UseConnection", "{connection}")),
    ),
    "codepipeline s3 source": ServiceUse(
        f"{_DOCS}/codepipeline/latest/userguide/how-to-custom-role.html",
        (
            *_BUCKET,
            ("s3:ListBucket", "arn:aws:s3:::{bucket}"),  # API_GetObject.html: without it a missing object is a 403
            *(
                (f"s3:{action}", "arn:aws:s3:::{bucket}/release/project.zip")
                for action in ("GetObject", "GetObjectVersion")
            ),
        ),
    ),
    "docker push": ServiceUse(
        f"{_DOCS}/AmazonECR/latest/userguide/image-push-iam.html",
        (
            ("ecr:GetAuthorizationToken", "*"),
            *(
                (f"ecr:{action}", "arn:aws:ecr:{region}:{account}:repository/{repository}")
                for action in (
                    "BatchCheckLayerAvailability",
                    "BatchGetImage",
                    "CompleteLayerUpload",
                    "InitiateLayerUpload",
                    "PutImage",
                    "UploadLayerPart",
                )
            ),
        ),
    ),
    "firehose delivery": ServiceUse(
        f"{_DOCS}/firehose/latest/dev/controlling-access.html",
        (
            *(
                (f"s3:{action}", "arn:aws:s3:::{bucket}")
                for action in ("GetBucketLocation", "ListBucket", "ListBucketMultipartUploads")
            ),
            *(
                (f"s3:{action}", "arn:aws:s3:::{bucket}/{prefix}one")
                for action in ("AbortMultipartUpload", "GetObject", "PutObject")
            ),
        ),
    ),
    "sns to firehose": ServiceUse(
        f"{_DOCS}/sns/latest/dg/prereqs-kinesis-data-firehose.html",
        tuple(
            (f"firehose:{action}", "arn:aws:firehose:{region}:{account}:deliverystream/{stream}")
            for action in ("DescribeDeliveryStream", "ListTagsForDeliveryStream", "PutRecord", "PutRecordBatch")
        ),
    ),
    "hosting": ServiceUse(
        f"{_DOCS}/sagemaker/latest/dg/sagemaker-roles.html",
        (("s3:GetObject", "arn:aws:s3:::{bucket}/{model}"), *_LOGS, *_JOB_LOGS),
    ),
    "hosting guardrails": ServiceUse(
        f"{_DOCS}/sagemaker/latest/dg/deployment-guardrails-configuration.html",
        (("cloudwatch:DescribeAlarms", "arn:aws:cloudwatch:{region}:{account}:alarm:{alarm}"),),
    ),
    "hosting asynchronously": ServiceUse(
        f"{_DOCS}/sagemaker/latest/dg/async-inference-create-endpoint-prerequisites.html",
        (
            ("s3:ListBucket", "arn:aws:s3:::{bucket}"),
            *(
                (f"s3:{action}", "arn:aws:s3:::{bucket}/{prefix}one")
                for action in ("AbortMultipartUpload", "GetObject", "PutObject")
            ),
            ("sns:Publish", "{topic}"),
        ),
    ),
    "http api access log": ServiceUse(
        f"{_DOCS}/apigateway/latest/developerguide/http-api-logging.html",
        tuple(
            (f"logs:{action}", "*")
            for action in (
                "CreateLogDelivery",
                "DeleteLogDelivery",
                "DescribeLogGroups",
                "DescribeResourcePolicies",
                "GetLogDelivery",
                "ListLogDeliveries",
                "PutResourcePolicy",
                "UpdateLogDelivery",
            )
        ),
    ),
    "invoke endpoint": ServiceUse(
        f"{_DOCS}/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html",
        (("sagemaker:InvokeEndpoint", _SAGEMAKER + ":endpoint/{endpoint}"),),
    ),
    "lambda dead letters": ServiceUse(
        f"{_DOCS}/lambda/latest/dg/invocation-async-retain-records.html",
        (
            ("sqs:SendMessage", "arn:aws:sqs:{region}:{account}:{queue}"),
            ("kms:Decrypt", "{key}"),
            ("kms:GenerateDataKey", "{key}"),
        ),
        {"kms:ViaService": "sqs.{region}.amazonaws.com"},
    ),
    "lambda reads a queue": ServiceUse(
        f"{_DOCS}/lambda/latest/dg/services-sqs-configure.html",
        tuple(
            (f"sqs:{action}", "arn:aws:sqs:{region}:{account}:{queue}")
            for action in ("DeleteMessage", "GetQueueAttributes", "ReceiveMessage")
        ),
    ),
    "lambda reads an encrypted queue": ServiceUse(
        f"{_DOCS}/lambda/latest/dg/services-sqs-configure.html",
        (("kms:Decrypt", "{key}"),),
        {"kms:ViaService": "sqs.{region}.amazonaws.com"},
    ),
    "lambda logs": ServiceUse(f"{_DOCS}/lambda/latest/dg/lambda-intro-execution-role.html", _LOGS),
    "model of a registered version": ServiceUse(
        f"{_DOCS}/sagemaker/latest/dg/model-registry-deploy.html",
        tuple(
            (f"sagemaker:{action}", _SAGEMAKER + ":model-package/{group}/1")
            for action in ("CreateModel", "DescribeModelPackage")
        ),
    ),
    "object encryption": ServiceUse(
        f"{_DOCS}/AmazonS3/latest/userguide/mpuoverview.html",
        (("kms:Decrypt", "{key}"), ("kms:GenerateDataKey", "{key}")),
        {"kms:ViaService": "s3.{region}.amazonaws.com"},
    ),
    "job output key": ServiceUse(
        f"{_DOCS}/sagemaker/latest/dg/sms-security-kms-permissions.html",
        (("kms:DescribeKey", "{key}"), ("kms:Encrypt", "{key}")),
    ),
    "output encryption": ServiceUse(
        f"{_DOCS}/sagemaker/latest/dg/sagemaker-roles.html",
        (("kms:Encrypt", "{key}"),),
    ),
    "s3 replication": ServiceUse(
        f"{_DOCS}/AmazonS3/latest/userguide/setting-repl-config-perm-overview.html",
        (
            *((f"s3:{action}", "arn:aws:s3:::{bucket}") for action in ("GetReplicationConfiguration", "ListBucket")),
            *(
                (f"s3:{action}", "arn:aws:s3:::{bucket}/{key}")
                for action in ("GetObjectVersionAcl", "GetObjectVersionForReplication", "GetObjectVersionTagging")
            ),
            *((f"s3:Replicate{what}", "arn:aws:s3:::{destination}/{key}") for what in ("Object", "Tags")),
        ),
    ),
    "s3 replication source key": ServiceUse(
        f"{_DOCS}/AmazonS3/latest/userguide/replication-config-for-kms-objects.html",
        (("kms:Decrypt", "{encryption_key}"),),
        {"kms:ViaService": "s3.{region}.amazonaws.com", "kms:EncryptionContext:aws:s3:arn": "{context}"},
    ),
    "s3 replication replica key": ServiceUse(
        f"{_DOCS}/AmazonS3/latest/userguide/replication-config-for-kms-objects.html",
        (("kms:Encrypt", "{encryption_key}"), ("kms:GenerateDataKey", "{encryption_key}")),
        {"kms:ViaService": "s3.{region}.amazonaws.com", "kms:EncryptionContext:aws:s3:arn": "{context}"},
    ),
    "sagemaker image": ServiceUse(
        f"{_DOCS}/sagemaker/latest/dg/sagemaker-roles.html", (("ecr:GetAuthorizationToken", "*"), *_PULL)
    ),
    "sagemaker in a vpc": ServiceUse(
        f"{_DOCS}/sagemaker/latest/dg/sagemaker-roles.html",
        tuple(
            (f"ec2:{action}", "*")
            for action in (
                "CreateNetworkInterface",
                "CreateNetworkInterfacePermission",
                "DeleteNetworkInterface",
                "DeleteNetworkInterfacePermission",
                "DescribeDhcpOptions",
                "DescribeNetworkInterfaces",
                "DescribeSecurityGroups",
                "DescribeSubnets",
                "DescribeVpcs",
            )
        ),
    ),
    "sagemaker job logs": ServiceUse(f"{_DOCS}/sagemaker/latest/dg/sagemaker-roles.html", (*_LOGS, *_JOB_LOGS)),
    "sagemaker metrics": ServiceUse(
        f"{_DOCS}/sagemaker/latest/dg/sagemaker-roles.html",
        (("cloudwatch:PutMetricData", "*"),),
        {"cloudwatch:namespace": "/aws/sagemaker/{kind}"},
    ),
    "sagemaker job input": ServiceUse(
        f"{_DOCS}/sagemaker/latest/dg/sagemaker-roles.html",
        (("s3:ListBucket", "arn:aws:s3:::{bucket}"), ("s3:GetObject", "arn:aws:s3:::{bucket}/{prefix}one")),
    ),
    "sagemaker job output": ServiceUse(
        f"{_DOCS}/sagemaker/latest/dg/sagemaker-roles.html",
        (("s3:PutObject", "arn:aws:s3:::{bucket}/{prefix}one"),),
    ),
    "sagemaker pipeline calls": ServiceUse(
        f"{_DOCS}/sagemaker/latest/dg/build-and-manage-steps-types.html",
        (("lambda:InvokeFunction", "arn:aws:lambda:{region}:{account}:function:{function}"),),
    ),
    "sagemaker pipeline jobs": ServiceUse(
        f"{_DOCS}/sagemaker/latest/dg/build-and-manage-access.html",
        tuple(
            (f"sagemaker:{action}", f"{_SAGEMAKER}:{kind.lower()}-job/pipelines-one")
            for kind in ("Processing", "Training")
            for action in ("AddTags", f"Create{kind}Job", f"Describe{kind}Job", f"Stop{kind}Job")
        ),
    ),
    "sagemaker pipeline processing jobs": ServiceUse(
        f"{_DOCS}/sagemaker/latest/dg/build-and-manage-access.html",
        tuple(
            (f"sagemaker:{action}", f"{_SAGEMAKER}:processing-job/pipelines-one")
            for action in ("AddTags", "CreateProcessingJob", "DescribeProcessingJob", "StopProcessingJob")
        ),
    ),
    "sagemaker pipeline function": ServiceUse(
        f"{_DOCS}/sagemaker/latest/dg/build-and-manage-steps-types.html",
        (("lambda:InvokeFunction", "arn:aws:lambda:{region}:{account}:function:{function}"),),
    ),
    "sagemaker pipeline passes": ServiceUse(
        f"{_DOCS}/sagemaker/latest/dg/build-and-manage-access.html",
        (("iam:PassRole", "{role}"),),
        {"iam:PassedToService": "sagemaker.amazonaws.com"},
    ),
    "sagemaker pipeline reads versions": ServiceUse(
        f"{_DOCS}/sagemaker/latest/dg/build-and-manage-access.html",
        (("sagemaker:DescribeModelPackage", _SAGEMAKER + ":model-package/{group}/1"),),
    ),
    "sagemaker pipeline registers": ServiceUse(
        f"{_DOCS}/sagemaker/latest/dg/build-and-manage-access.html",
        (("sagemaker:CreateModelPackage", _SAGEMAKER + ":model-package/{group}/1"),),
        {"sagemaker:ModelApprovalStatus": "{status}"},
    ),
    "sagemaker scaling": ServiceUse(
        f"{_DOCS}/sagemaker/latest/dg/endpoint-auto-scaling-prerequisites.html",
        (
            ("sagemaker:DescribeEndpoint", _SAGEMAKER + ":endpoint/{endpoint}"),
            ("sagemaker:UpdateEndpointWeightsAndCapacities", _SAGEMAKER + ":endpoint/{endpoint}"),
            *(
                (
                    f"cloudwatch:{action}",
                    "arn:aws:cloudwatch:{region}:{account}:alarm:TargetTracking-endpoint/{endpoint}/variant/one",
                )
                for action in ("DeleteAlarms", "DescribeAlarms", "PutMetricAlarm")
            ),
        ),
    ),
    "scheduler function": ServiceUse(
        f"{_DOCS}/scheduler/latest/UserGuide/managing-targets-templated.html",
        (("lambda:InvokeFunction", "arn:aws:lambda:{region}:{account}:function:{function}"),),
    ),
    "scheduler message": ServiceUse(
        f"{_DOCS}/scheduler/latest/UserGuide/managing-targets-templated.html",
        (("sqs:SendMessage", "arn:aws:sqs:{region}:{account}:{queue}"),),
    ),
    "scheduler dead letters": ServiceUse(
        f"{_DOCS}/scheduler/latest/UserGuide/configuring-schedule-dlq.html",
        (("sqs:SendMessage", "arn:aws:sqs:{region}:{account}:{queue}"),),
    ),
    "scheduler dead letters encryption": ServiceUse(
        f"{_DOCS}/scheduler/latest/UserGuide/configuring-schedule-dlq.html",
        (("kms:Decrypt", "{key}"), ("kms:GenerateDataKey", "{key}")),
        {"kms:ViaService": "sqs.{region}.amazonaws.com"},
    ),
    "start codepipeline": ServiceUse(
        f"{_DOCS}/codepipeline/latest/userguide/create-cwe-ecr-source-cfn.html",
        (("codepipeline:StartPipelineExecution", "arn:aws:codepipeline:{region}:{account}:{pipeline}"),),
    ),
    "start transform": ServiceUse(
        f"{_DOCS}/sagemaker/latest/dg/api-permissions-reference.html",
        tuple(
            (f"sagemaker:{action}", _SAGEMAKER + ":transform-job/{job}") for action in ("AddTags", "CreateTransformJob")
        ),
    ),
    "volume encryption": ServiceUse(
        f"{_DOCS}/sagemaker/latest/dg/api-permissions-reference.html",
        (("kms:CreateGrant", "{key}"),),
        {"kms:GrantIsForAWSResource": "true"},
    ),
    "package repository": ServiceUse(
        f"{_DOCS}/codeartifact/latest/ug/auth-and-access-control-iam-identity-based-access-control.html",
        (
            ("codeartifact:GetAuthorizationToken", "arn:aws:codeartifact:{region}:{account}:domain/{packages}"),
            *(
                (f"codeartifact:{action}", "arn:aws:codeartifact:{region}:{account}:repository/{packages}/python")
                for action in ("GetRepositoryEndpoint", "ReadFromRepository")
            ),
        ),
    ),
    "start sagemaker pipeline": ServiceUse(
        f"{_DOCS}/sagemaker/latest/dg/pipeline-eventbridge.html",
        (("sagemaker:StartPipelineExecution", "arn:aws:sagemaker:{region}:{account}:pipeline/{pipeline}"),),
    ),
    "studio": ServiceUse(
        f"{_DOCS}/sagemaker/latest/dg/studio-updated-jl-admin-guide-permissions.html",
        (
            *((f"sagemaker:List{things}", "*") for things in ("Apps", "Domains", "Spaces", "UserProfiles")),
            ("sagemaker:DescribeDomain", "arn:aws:sagemaker:{region}:{account}:domain/{domain}"),
            *(
                (f"sagemaker:{action}", "arn:aws:sagemaker:{region}:{account}:user-profile/{domain}/{user}")
                for action in ("CreatePresignedDomainUrl", "DescribeUserProfile")
            ),
            *(
                (f"sagemaker:{action}", "arn:aws:sagemaker:{region}:{account}:app/{domain}/{user}/JupyterLab/default")
                for action in ("AddTags", "CreateApp", "DeleteApp", "DescribeApp")
            ),
            *(
                (f"sagemaker:{action}", "arn:aws:sagemaker:{region}:{account}:space/{domain}/{user}")
                for action in ("AddTags", "CreateSpace", "DeleteSpace", "DescribeSpace", "UpdateSpace")
            ),
            ("logs:CreateLogGroup", "arn:aws:logs:{region}:{account}:log-group:/aws/sagemaker/studio:log-stream:"),
            *(
                (f"logs:{action}", "arn:aws:logs:{region}:{account}:log-group:/aws/sagemaker/studio:log-stream:one")
                for action in ("CreateLogStream", "PutLogEvents")
            ),
        ),
    ),
    "studio pipelines": ServiceUse(
        f"{_DOCS}/sagemaker/latest/dg/pipelines-studio-view-execution.html",
        (
            ("sagemaker:ListPipelineExecutions", "arn:aws:sagemaker:{region}:{account}:pipeline/{pipeline}"),
            *(
                (f"sagemaker:{action}", "arn:aws:sagemaker:{region}:{account}:pipeline/{pipeline}/execution/one")
                for action in (
                    "DescribePipelineDefinitionForExecution",
                    "DescribePipelineExecution",
                    "ListPipelineExecutionSteps",
                    "StopPipelineExecution",
                )
            ),
            *(
                (
                    f"sagemaker:Describe{kind}Job",
                    f"arn:aws:sagemaker:{{region}}:{{account}}:{kind.lower()}-job/pipelines-1",
                )
                for kind in ("Processing", "Training")
            ),
            *(
                (
                    "logs:GetLogEvents",
                    f"arn:aws:logs:{{region}}:{{account}}:log-group:/aws/sagemaker/{kind}Jobs:log-stream:pipelines-1",
                )
                for kind in ("Processing", "Training")
            ),
        ),
    ),
    "studio volume": ServiceUse(
        f"{_DOCS}/sagemaker/latest/dg/encryption-at-rest-studio.html",
        tuple(
            (f"kms:{action}", "{key}")
            for action in ("CreateGrant", "Decrypt", "DescribeKey", "GenerateDataKeyWithoutPlaintext")
        ),
    ),
}


def service_needs(feature: str, **names: str) -> list[Need]:
    """What a role needs for a feature.

    Args:
        feature: A row of SERVICE_SIDE.
        names: What stands for the `{names}` of the row.

    Raises:
        KeyError: The row needs another name.
    """
    row = SERVICE_SIDE[feature]
    context = {key: value.format(**names) for key, value in row.context.items()}
    return [Need(action, resource.format(**names), feature, context) for action, resource in row.needs]

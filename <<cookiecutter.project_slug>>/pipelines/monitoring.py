r"""The monitoring pipeline: compare the traffic of a time window with the data that its models were trained on.

    Collect -> Compare -> Publish

`python -m mlops monitor` runs it on this machine. In AWS a schedule starts it for each environment.
"""

from typing import Any

from sagemaker.core.lambda_helper import Lambda
from sagemaker.core.network import NetworkConfig
from sagemaker.core.processing import Processor
from sagemaker.core.shapes import ProcessingInput, ProcessingOutput, ProcessingS3Input, ProcessingS3Output
from sagemaker.core.workflow.execution_variables import ExecutionVariables
from sagemaker.core.workflow.functions import Join
from sagemaker.core.workflow.parameters import ParameterFloat, ParameterInteger, ParameterString
from sagemaker.mlops.workflow.lambda_step import LambdaOutput, LambdaStep
from sagemaker.mlops.workflow.pipeline import Pipeline
from sagemaker.mlops.workflow.retry import (
    SageMakerJobExceptionTypeEnum,
    SageMakerJobStepRetryPolicy,
    StepExceptionTypeEnum,
    StepRetryPolicy,
)
from sagemaker.mlops.workflow.steps import ProcessingStep

from mlops.compile.context import Context

# The folders of the inputs and outputs of a job, and the file for its failure reason (SageMaker shows the first 1024).
INPUT = "/opt/ml/processing/input"
OUTPUT = "/opt/ml/processing/output"
FAILURE_FILE = "/opt/ml/output/message"

# Retry throttled calls, and jobs that ended because of a service error or insufficient capacity.
RETRIES = [
    StepRetryPolicy([StepExceptionTypeEnum.THROTTLING], interval_seconds=10, max_attempts=5),
    SageMakerJobStepRetryPolicy(
        [SageMakerJobExceptionTypeEnum.INTERNAL_ERROR, SageMakerJobExceptionTypeEnum.CAPACITY_ERROR],
        interval_seconds=60,
        max_attempts=3,
    ),
]


class Parameters:
    """The parameters of a run. The schedule of an environment sets the limits that `config/` has for it."""

    def __init__(self, context: Context) -> None:
        self.environment = ParameterString("EnvironmentName", context.environment.name if context.is_local else None)
        # `auto`: from the end of the last window to now.
        self.start = ParameterString("WindowStart", "auto")
        self.end = ParameterString("WindowEnd", "auto")
        self.label_delay_hours = ParameterFloat("LabelDelayHours", context.number("monitoring.label_delay_hours"))
        self.min_rows = ParameterInteger("MinRows", context.integer("monitoring.min_rows"))
        self.max_distance = ParameterFloat("MaxDistance", context.number("monitoring.max_distance"))
        self.max_drifted_share = ParameterFloat("MaxDriftedShare", context.number("monitoring.max_drifted_share"))
        self.max_missing_increase = ParameterFloat(
            "MaxMissingIncrease", context.number("monitoring.max_missing_increase")
        )
        self.max_auc_loss = ParameterFloat("MaxAucLoss", context.number("monitoring.max_auc_loss"))


def build(context: Context) -> Pipeline:
    """Return the monitoring pipeline."""
    parameters = Parameters(context)
    collect = collect_traffic(context, parameters)
    compare = compare_with_baselines(context, parameters, collect)
    return Pipeline(
        name=context.pipeline_name,
        parameters=list(vars(parameters).values()),
        steps=[collect, compare, publish_metrics(context, parameters, compare)],
        pipeline_experiment_config=None,
        sagemaker_session=context.session,
    )


def collect_traffic(context: Context, parameters: Parameters) -> LambdaStep:
    """List the captured objects and labels of the window, and copy the baselines of the versions that answered."""
    return LambdaStep(
        "Collect",
        description="Finds the traffic, the labels and the baselines of the window.",
        lambda_func=Lambda(function_arn=context.function("monitoring-collect"), session=context.session),
        inputs={
            "project_name": context.project_name,
            "environment": parameters.environment,
            "execution": ExecutionVariables.PIPELINE_EXECUTION_ID,
            "started": ExecutionVariables.START_DATETIME,
            "start": parameters.start,
            "end": parameters.end,
            "label_delay_hours": parameters.label_delay_hours,
        },
        outputs=[LambdaOutput(name) for name in ("window", "captured", "batch_input", "ground_truth")],
    )


def compare_with_baselines(context: Context, parameters: Parameters, collect: LambdaStep) -> ProcessingStep:
    """Compare the window with the baselines, and the predictions with the labels; write report and metrics."""
    found = collect.properties.Outputs
    processor = Processor(
        image_uri=context.image,
        entrypoint=["python3", "-m", "modelkit.jobs.compare"],
        env={"PYTHONPATH": f"{INPUT}/code"},
        instance_type=context["processing.instance_type"],
        instance_count=1,
        volume_size_in_gb=context.integer("processing.volume_size_gb"),
        volume_kms_key=context.volume_key("processing"),
        output_kms_key=context.data_key,
        network_config=NetworkConfig(
            enable_network_isolation=context.security.network_isolation,
            encrypt_inter_container_traffic=context.security.encrypt_inter_container_traffic,
            subnets=list(context.security.network.subnet_ids) or None,
            security_group_ids=list(context.security.network.security_group_ids) or None,
        ),
        max_runtime_in_seconds=context.integer("processing.max_runtime_seconds"),
        role=context.role,
        sagemaker_session=context.session,
    )
    return ProcessingStep(
        "Compare",
        description="Compares the window with the training data.",
        step_args=processor.run(
            inputs=[
                _input("code", context.monitoring_code),
                _input("window", found["window"]),
                _input("captured", found["captured"], "ManifestFile"),
                _input("batch-input", found["batch_input"], "ManifestFile"),
                _input("ground-truth", found["ground_truth"], "ManifestFile"),
            ],
            outputs=[
                ProcessingOutput(
                    output_name="report",
                    s3_output=ProcessingS3Output(
                        s3_uri=_folder(context, parameters, "report"),
                        local_path=f"{OUTPUT}/report",
                        s3_upload_mode="EndOfJob",
                    ),
                )
            ],
            arguments=[
                *("--window", f"{INPUT}/window"),
                *("--captured", f"{INPUT}/captured/capture"),
                *("--batch-input", f"{INPUT}/batch-input"),
                *("--batch-output", f"{INPUT}/captured"),
                *("--ground-truth", f"{INPUT}/ground-truth/ground-truth"),
                *("--output", f"{OUTPUT}/report"),
                *("--test-prefix", context.test_prefix),
                *("--min-rows", parameters.min_rows.to_string()),
                *("--max-distance", parameters.max_distance.to_string()),
                *("--max-drifted-share", parameters.max_drifted_share.to_string()),
                *("--max-missing-increase", parameters.max_missing_increase.to_string()),
                *("--max-auc-loss", parameters.max_auc_loss.to_string()),
                *("--failure-file", FAILURE_FILE),
            ],
        ),
        retry_policies=RETRIES,
    )


def publish_metrics(context: Context, parameters: Parameters, compare: ProcessingStep) -> LambdaStep:
    """Publish the metrics of the window to CloudWatch, where alarms watch them, and record where it ended."""
    return LambdaStep(
        "Publish",
        description="Publishes the metrics of the window.",
        lambda_func=Lambda(function_arn=context.function("monitoring-publish"), session=context.session),
        inputs={
            "environment": parameters.environment,
            "report": compare.properties.ProcessingOutputConfig.Outputs["report"].S3Output.S3Uri,
            "start": parameters.start,
            "end": parameters.end,
        },
        outputs=[LambdaOutput("report")],
    )


def _folder(context: Context, parameters: Parameters, name: str) -> Join:
    """Return the S3 prefix of a folder of this run; it ends in /, as a prefix matches longer names, too."""
    parts = [parameters.environment, ExecutionVariables.PIPELINE_EXECUTION_ID, name, ""]
    return Join(on="/", values=[f"s3://{context.bucket}/{context.slug}/monitoring", *parts])


def _input(name: str, uri: Any, data_type: str = "S3Prefix") -> ProcessingInput:
    s3_input = ProcessingS3Input(s3_uri=uri, local_path=f"{INPUT}/{name}", s3_data_type=data_type, s3_input_mode="File")
    return ProcessingInput(input_name=name, s3_input=s3_input)

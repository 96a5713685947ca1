r"""The training pipeline: check the data, split it, train, evaluate, and register the model if it is good enough.

    ValidateData -> Preprocess -> Train ----> Evaluate -> QualityGate -> ChampionGate -> RegisterModel
                              \-> Baseline ------------------------/  |             \-> RegisterForReview
                                                                       \-> GateFailed

A version that could not be compared with the champion waits for a review, even if versions are approved automatically.
Before them, ResolveData lists the data and finds the champion. After Preprocess, ConfirmData makes sure that the data
did not change while it was read.

Change it like any SageMaker pipeline: `python -m mlops compile` checks that the result is a valid definition,
`python -m mlops run` runs it on this machine, and `python -m mlops upsert --environment dev` creates or updates it in
your account.
"""

from typing import Any

from sagemaker.core.drift_check_baselines import DriftCheckBaselines
from sagemaker.core.lambda_helper import Lambda
from sagemaker.core.model_metrics import MetricsSource, ModelMetrics
from sagemaker.core.network import NetworkConfig
from sagemaker.core.processing import Processor
from sagemaker.core.shapes import (
    MetricDefinition,
    OutputDataConfig,
    ProcessingInput,
    ProcessingOutput,
    ProcessingS3Input,
    ProcessingS3Output,
    S3DataSource,
    StoppingCondition,
)
from sagemaker.core.workflow.conditions import ConditionGreaterThanOrEqualTo, ConditionIn
from sagemaker.core.workflow.execution_variables import ExecutionVariables
from sagemaker.core.workflow.functions import Join, JsonGet
from sagemaker.core.workflow.parameters import ParameterFloat, ParameterInteger, ParameterString
from sagemaker.core.workflow.properties import PropertyFile
from sagemaker.mlops.workflow.condition_step import ConditionStep
from sagemaker.mlops.workflow.fail_step import FailStep
from sagemaker.mlops.workflow.lambda_step import LambdaOutput, LambdaStep
from sagemaker.mlops.workflow.model_step import ModelStep
from sagemaker.mlops.workflow.pipeline import Pipeline
from sagemaker.mlops.workflow.retry import (
    SageMakerJobExceptionTypeEnum,
    SageMakerJobStepRetryPolicy,
    StepExceptionTypeEnum,
    StepRetryPolicy,
)
from sagemaker.mlops.workflow.steps import CacheConfig, ProcessingStep, TrainingStep
from sagemaker.serve.model_builder import ModelBuilder
from sagemaker.train import ModelTrainer
from sagemaker.train.configs import Compute, InputData, Networking, SourceCode

from mlops.compile.context import Context
from model.hyperparameters import HYPERPARAMETERS
from modelkit.learning import Hyperparameter

# The folders of the inputs and outputs of a job, and the file for its failure reason (SageMaker shows the first 1024).
INPUT = "/opt/ml/processing/input"
OUTPUT = "/opt/ml/processing/output"
FAILURE_FILE = "/opt/ml/output/message"

# Retry throttled calls, and jobs that ended because of a service error or insufficient capacity.
THROTTLED = StepRetryPolicy([StepExceptionTypeEnum.THROTTLING], interval_seconds=10, max_attempts=5)
INTERRUPTED = SageMakerJobStepRetryPolicy(
    [SageMakerJobExceptionTypeEnum.INTERNAL_ERROR, SageMakerJobExceptionTypeEnum.CAPACITY_ERROR],
    interval_seconds=60,
    max_attempts=3,
)

NOT_COMPARED = "not comparable with the champion: the reason is in evaluation.json"


class Parameters:
    """The parameters of a run; their defaults are set in `config/`.

    SageMaker's step cache compares URIs, arguments and environment, not the content of the inputs. Steps that read
    these inputs therefore get `DataVersion` and `ChampionArn` as well, so that new data never hits an old cache entry.
    With the value `auto`, the step `ResolveData` looks them up; later steps use its outputs, not these parameters.
    """

    def __init__(self, context: Context) -> None:
        folder = f"s3://{context.data_bucket}/{context.slug}"
        # Inputs.
        self.input_data = ParameterString("InputDataUri", default_value=f"{folder}/data/")
        self.data_version = ParameterString("DataVersion", default_value="auto")
        self.champion_model = ParameterString("ChampionModelUri", default_value="auto")
        self.champion_arn = ParameterString("ChampionArn", default_value="auto")
        self.run_reason = ParameterString("RunReason", default_value="manual")
        # Data.
        self.max_null_fraction = ParameterFloat("MaxNullFraction", context.number("validation.max_null_fraction"))
        self.train_fraction = ParameterFloat("TrainFraction", context.number("split.train_fraction"))
        self.validation_fraction = ParameterFloat("ValidationFraction", context.number("split.validation_fraction"))
        # Model: the entries of src/model/hyperparameters.py, by name.
        self.hyperparameters = {known.name: _hyperparameter(context, known) for known in HYPERPARAMETERS}
        # Instances.
        self.processing_type = ParameterString("ProcessingInstanceType", context["processing.instance_type"])
        self.processing_count = ParameterInteger(
            "ProcessingInstanceCount", context.integer("processing.instance_count")
        )
        self.training_type = ParameterString("TrainingInstanceType", context["training.instance_type"])
        self.training_count = ParameterInteger("TrainingInstanceCount", context.integer("training.instance_count"))
        # Quality gate and registration.
        self.min_auc = ParameterFloat("MinAuc", context.number("gate.min_auc"))
        self.min_auc_gain = ParameterFloat("MinAucGain", context.number("gate.min_auc_gain"))
        self.approval_status = ParameterString(
            "ModelApprovalStatus",
            default_value=context["registration.approval_status"],
            enum_values=["PendingManualApproval", "Approved", "Rejected"],
        )

    def all(self, *, registered: bool) -> list[Any]:
        """Return all parameters, in the order above; those of versions only if models are registered."""
        listed: list[Any] = []
        for name, value in vars(self).items():
            if registered or name not in ("run_reason", "approval_status"):
                listed += value.values() if isinstance(value, dict) else [value]
        return listed


def build(context: Context) -> Pipeline:
    """Return the training pipeline of one environment."""
    parameters = Parameters(context)
    resolve = resolve_data(context, parameters)
    validate = validate_data(context, parameters, resolve)
    preprocess = split_data(context, parameters, resolve, validate)
    confirm = confirm_data(context, parameters, resolve, preprocess)
    train = train_model(context, parameters, preprocess, confirm)
    baseline = describe_training_data(context, parameters, preprocess)
    report = PropertyFile("EvaluationReport", output_name="evaluation", path="evaluation.json")
    evaluate = evaluate_model(context, parameters, resolve, preprocess, train, report)
    register = None
    if context.model_package_group:
        run = (context, parameters, resolve, train, evaluate, baseline)
        register = champion_gate(
            evaluate,
            report,
            register_model(*run),
            register_model(*run, note=NOT_COMPARED, name="RegisterForReview"),
        )
    gate = quality_gate(parameters, evaluate, report, register)
    return Pipeline(
        name=context.pipeline_name,
        parameters=parameters.all(registered=register is not None),
        steps=[resolve, validate, preprocess, confirm, train, baseline, evaluate, gate],
        pipeline_experiment_config=None,
        sagemaker_session=context.session,
    )


def resolve_data(context: Context, parameters: Parameters) -> LambdaStep:
    """List the objects of the data, keep that list as a manifest, and find the champion."""
    return LambdaStep(
        "ResolveData",
        description="Lists the data and finds the champion.",
        lambda_func=Lambda(function_arn=context.function("resolve-data"), session=context.session),
        inputs={
            "input_data": parameters.input_data,
            "data_version": parameters.data_version,
            "champion_arn": parameters.champion_arn,
            "champion_model": parameters.champion_model,
            "no_champion": context.no_champion,
        },
        outputs=[LambdaOutput(name) for name in ("DataVersion", "ChampionArn", "ChampionModelUri")],
    )


def confirm_data(
    context: Context, parameters: Parameters, resolve: LambdaStep, preprocess: ProcessingStep
) -> LambdaStep:
    """Fail the run if the data has changed since it was listed. Keep it after the last step that reads raw data."""
    return LambdaStep(
        "ConfirmData",
        description="Makes sure that the data did not change while it was read.",
        lambda_func=Lambda(function_arn=context.function("confirm-data"), session=context.session),
        inputs={"input_data": parameters.input_data, "data_version": resolve.properties.Outputs["DataVersion"]},
        depends_on=[preprocess],
    )


def validate_data(context: Context, parameters: Parameters, resolve: LambdaStep) -> ProcessingStep:
    """Check schema, values and bias of the raw data; a violation stops the run. One instance reads all of the data."""
    processor = _processor(context, parameters, "modelkit.jobs.validate")
    return ProcessingStep(
        "ValidateData",
        description="Checks the raw data against the schema.",
        step_args=processor.run(
            inputs=[_input("code", context.model_code), _input("data", parameters.input_data)],
            outputs=[_output(context, "ValidateData", "report")],
            arguments=[
                *("--data", f"{INPUT}/data"),
                *("--report", f"{OUTPUT}/report"),
                *("--data-version", resolve.properties.Outputs["DataVersion"]),
                *("--max-null-fraction", parameters.max_null_fraction.to_string()),
                *("--failure-file", FAILURE_FILE),
            ],
        ),
        **_job_settings(context),
    )


def split_data(
    context: Context, parameters: Parameters, resolve: LambdaStep, validate: ProcessingStep
) -> ProcessingStep:
    """Split the rows into training, validation and test set. The input objects are sharded among the instances."""
    processor = _processor(context, parameters, "modelkit.jobs.preprocess", parameters.processing_count)
    processor.env["DATA_VERSION"] = resolve.properties.Outputs["DataVersion"]
    return ProcessingStep(
        "Preprocess",
        description="Splits the data by person into training, validation and test set.",
        step_args=processor.run(
            inputs=[
                _input("code", context.model_code),
                _input("data", parameters.input_data, distribution="ShardedByS3Key"),
            ],
            outputs=[_output(context, "Preprocess", name) for name in ("train", "validation", "test", "raw")],
            arguments=[
                *("--data", f"{INPUT}/data"),
                *("--output", OUTPUT),
                *("--train-fraction", parameters.train_fraction.to_string()),
                *("--validation-fraction", parameters.validation_fraction.to_string()),
                *("--seed", parameters.hyperparameters["seed"].to_string()),
                *("--resource-config", "/opt/ml/config/resourceconfig.json"),
                *("--failure-file", FAILURE_FILE),
            ],
        ),
        depends_on=[validate],
        **_job_settings(context),
    )


def train_model(
    context: Context, parameters: Parameters, preprocess: ProcessingStep, confirm: LambdaStep
) -> TrainingStep:
    """Train on the training set, stopping early on the validation set."""
    spot = bool(context["training.spot"])
    trainer = ModelTrainer(
        training_image=context.image,
        source_code=SourceCode(
            source_dir=context.source_folder,
            command="python3 -m modelkit.jobs.train --failure-file /opt/ml/output/failure",
        ),
        hyperparameters={name: value.to_string() for name, value in parameters.hyperparameters.items()},
        compute=Compute(
            instance_type=parameters.training_type,
            instance_count=parameters.training_count,
            volume_size_in_gb=context.integer("training.volume_size_gb"),  # the SDK accepts no pipeline parameter here
            volume_kms_key_id=context.volume_key("training"),
            enable_managed_spot_training=spot,
        ),
        stopping_condition=StoppingCondition(
            max_runtime_in_seconds=context.integer("training.max_runtime_seconds"),
            max_wait_time_in_seconds=context.integer("training.max_wait_seconds") if spot else None,
        ),
        output_data_config=OutputDataConfig(
            s3_output_path=_run_folder(context, context.model_bucket, "Train"), kms_key_id=context.model_key
        ),
        networking=Networking(
            enable_network_isolation=context.security.network_isolation,
            enable_inter_container_traffic_encryption=context.security.encrypt_inter_container_traffic,
            **_vpc(context),
        ),
        base_job_name=f"{context.slug}-train",
        role=context.role,
        sagemaker_session=context.session,
    )
    if context.takes_metrics:  # SageMaker rejects them for images with predefined metrics
        trainer.with_metric_definitions(
            [
                MetricDefinition(name="train:auc", regex=r"train-auc:([0-9.]+)"),
                MetricDefinition(name="validation:auc", regex=r"validation-auc:([0-9.]+)"),
            ]
        )
    channels = [InputData(channel_name=name, data_source=_shards(preprocess, name)) for name in ("train", "validation")]
    return TrainingStep(
        "Train",
        description="Trains the model.",
        step_args=trainer.train(input_data_config=channels),
        depends_on=[confirm],
        **_job_settings(context),
    )


def describe_training_data(context: Context, parameters: Parameters, preprocess: ProcessingStep) -> ProcessingStep:
    """Write the statistics and constraints of the training set, the baseline of monitoring."""
    processor = _processor(context, parameters, "modelkit.jobs.baseline")
    return ProcessingStep(
        "Baseline",
        description="Statistics and constraints of the training set.",
        step_args=processor.run(
            inputs=[_input("code", context.baseline_code), _input("train", _result(preprocess, "train"))],
            outputs=[_output(context, "Baseline", "baseline")],
            arguments=[*("--data", f"{INPUT}/train"), *("--output", f"{OUTPUT}/baseline")],
        ),
        **_job_settings(context),
    )


def evaluate_model(
    context: Context,
    parameters: Parameters,
    resolve: LambdaStep,
    preprocess: ProcessingStep,
    train: TrainingStep,
    report: PropertyFile,
) -> ProcessingStep:
    """Score the new model and the champion on the same test set."""
    processor = _processor(context, parameters, "modelkit.jobs.evaluate")
    return ProcessingStep(
        "Evaluate",
        description="Scores the new model and the champion on the test set.",
        step_args=processor.run(
            inputs=[
                _input("code", context.model_code),
                _input("model", train.properties.ModelArtifacts.S3ModelArtifacts),
                _input("test", _result(preprocess, "test")),
                _input("raw", _result(preprocess, "raw")),
                _input("champion", resolve.properties.Outputs["ChampionModelUri"]),
            ],
            outputs=[_output(context, "Evaluate", report.output_name)],
            arguments=[
                *("--model", f"{INPUT}/model"),
                *("--test", f"{INPUT}/test"),
                *("--raw", f"{INPUT}/raw"),
                *("--champion", f"{INPUT}/champion"),
                *("--champion-arn", resolve.properties.Outputs["ChampionArn"]),
                *("--output", f"{OUTPUT}/{report.output_name}"),
                *("--failure-file", FAILURE_FILE),
            ],
        ),
        property_files=[report],
        **_job_settings(context),
    )


def quality_gate(
    parameters: Parameters, evaluate: ProcessingStep, report: PropertyFile, register: ConditionStep | None
) -> ConditionStep:
    """Register the model only if its AUC and its gain over the reference are high enough."""
    auc = JsonGet(evaluate.name, property_file=report, json_path="binary_classification_metrics.auc.value")
    gain = JsonGet(evaluate.name, property_file=report, json_path="auc_gain")
    message = [
        "The model is not registered: it needs an AUC of at least",
        parameters.min_auc,
        "and a gain over its reference of at least",
        parameters.min_auc_gain,
        "- see binary_classification_metrics.auc.value and auc_gain in evaluation.json below",
        _result(evaluate, report.output_name),
    ]
    return ConditionStep(
        "QualityGate",
        description="Good enough, alone and beside the champion?",
        conditions=[
            ConditionGreaterThanOrEqualTo(left=auc, right=parameters.min_auc),
            ConditionGreaterThanOrEqualTo(left=gain, right=parameters.min_auc_gain),
        ],
        if_steps=[register] if register else [],
        else_steps=[FailStep("GateFailed", error_message=Join(on=" ", values=message))],
    )


def champion_gate(
    evaluate: ProcessingStep, report: PropertyFile, register: ModelStep, review: ModelStep
) -> ConditionStep:
    """Register the model for review if there is a champion that it could not be compared with."""
    status = JsonGet(evaluate.name, property_file=report, json_path="reference.status")
    return ConditionStep(
        "ChampionGate",
        description="Compared with the champion, if there is one?",
        conditions=[ConditionIn(value=status, in_values=["compared", "no champion"])],
        if_steps=[register],
        else_steps=[review],
    )


def register_model(
    context: Context,
    parameters: Parameters,
    resolve: LambdaStep,
    train: TrainingStep,
    evaluate: ProcessingStep,
    baseline: ProcessingStep,
    *,
    note: str = "",
    name: str = "RegisterModel",
) -> ModelStep:
    """Register the model with its evaluation, baseline and lineage; one with a note waits for approval in any case."""
    statistics, constraints = (
        _json_source(_result(baseline, "baseline"), name) for name in ("statistics.json", "constraints.json")
    )
    # The archive contains the handlers (code/hosting.py), so that no job has to repack it. AWS's images for XGBoost and
    # scikit-learn install them with pip, which downloads setuptools first unless build isolation is off: "0" switches
    # it off (sic). Otherwise an endpoint with network isolation, as here, would never start.
    # By default, AWS's servers kill a worker that is busy for 60 seconds, and PyTorch's (TS_) rejects more than 6.5 MB.
    # SageMaker allows asynchronous endpoints an hour and 1 GB, others less: leave the limits to SageMaker.
    builder = ModelBuilder(
        image_uri=context.inference_image,
        s3_model_data_url=train.properties.ModelArtifacts.S3ModelArtifacts,
        env_vars={
            "SAGEMAKER_PROGRAM": "hosting.py",
            "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code",
            "PIP_NO_BUILD_ISOLATION": "0",
            "SAGEMAKER_MODEL_SERVER_TIMEOUT": "3600",
            "TS_MAX_REQUEST_SIZE": str(context.largest_request),
            "TS_MAX_RESPONSE_SIZE": str(context.largest_request),
        },
        role_arn=context.role,
        sagemaker_session=context.session,
    )
    step_args = builder.register(
        model_package_group_name=context.model_package_group,
        approval_status="PendingManualApproval" if note else parameters.approval_status,
        content_types=["text/csv", "application/json", "application/jsonlines"],
        response_types=["text/csv", "application/json", "application/jsonlines"],
        inference_instances=context["registration.inference_instances"],
        transform_instances=context["registration.transform_instances"],
        model_metrics=ModelMetrics(
            model_statistics=_json_source(_result(evaluate, "evaluation"), "evaluation.json"),
            model_data_statistics=statistics,
            model_data_constraints=constraints,
        ),
        drift_check_baselines=DriftCheckBaselines(model_data_statistics=statistics, model_data_constraints=constraints),
        customer_metadata_properties={
            **context.lineage,
            "DataVersion": resolve.properties.Outputs["DataVersion"],
            "InputDataUri": parameters.input_data,
            "ChampionArn": resolve.properties.Outputs["ChampionArn"],
            "RunReason": parameters.run_reason,
            **({"Note": note} if note else {}),
            **{known.parameter: parameters.hyperparameters[known.name].to_string() for known in HYPERPARAMETERS},
        },
    )
    return ModelStep(name, step_args=step_args, retry_policies=[THROTTLED])


def _hyperparameter(context: Context, known: Hyperparameter) -> ParameterInteger | ParameterFloat:
    key = f"hyperparameters.{known.name}"
    if known.kind is int:
        return ParameterInteger(known.parameter, context.integer(key))
    return ParameterFloat(known.parameter, context.number(key))


def _processor(context: Context, parameters: Parameters, module: str, instance_count: Any = 1) -> Processor:
    return Processor(
        image_uri=context.image,
        entrypoint=["python3", "-m", module],
        env={"PYTHONPATH": f"{INPUT}/code"},
        instance_type=parameters.processing_type,
        instance_count=instance_count,
        volume_size_in_gb=context.integer("processing.volume_size_gb"),
        volume_kms_key=context.volume_key("processing"),
        output_kms_key=context.data_key,
        network_config=NetworkConfig(
            enable_network_isolation=context.security.network_isolation,
            encrypt_inter_container_traffic=context.security.encrypt_inter_container_traffic,
            **_vpc(context),
        ),
        max_runtime_in_seconds=context.integer("processing.max_runtime_seconds"),
        role=context.role,
        sagemaker_session=context.session,
    )


def _vpc(context: Context) -> dict[str, list[str] | None]:
    network = context.security.network
    return {
        "subnets": list(network.subnet_ids) or None,
        "security_group_ids": list(network.security_group_ids) or None,
    }


def _job_settings(context: Context) -> dict[str, Any]:
    cache = CacheConfig(enable_caching=True, expire_after=context["cache.expire_after"])
    return {"cache_config": cache, "retry_policies": [THROTTLED, INTERRUPTED]}


def _input(name: str, uri: Any, distribution: str = "FullyReplicated") -> ProcessingInput:
    s3_input = ProcessingS3Input(
        s3_uri=uri,
        local_path=f"{INPUT}/{name}",
        s3_data_type="S3Prefix",
        s3_input_mode="File",
        s3_data_distribution_type=distribution,
    )
    return ProcessingInput(input_name=name, s3_input=s3_input)


def _output(context: Context, step: str, name: str) -> ProcessingOutput:
    s3_output = ProcessingS3Output(
        s3_uri=_run_folder(context, context.bucket, step, name, ""),  # ends in /: `test` does not match `test_small`
        local_path=f"{OUTPUT}/{name}",
        s3_upload_mode="EndOfJob",
    )
    return ProcessingOutput(output_name=name, s3_output=s3_output)


def _run_folder(context: Context, bucket: str, *parts: str) -> Join:
    """Return the S3 prefix of a step's results in a bucket, which is different for each execution."""
    folder = f"s3://{bucket}/{context.slug}/runs"
    return Join(on="/", values=[folder, ExecutionVariables.PIPELINE_EXECUTION_ID, *parts])


def _result(step: ProcessingStep, name: str) -> Any:
    """Return the S3 URI of an output of a processing step."""
    return step.properties.ProcessingOutputConfig.Outputs[name].S3Output.S3Uri


def _shards(step: ProcessingStep, name: str) -> S3DataSource:
    """Return an output of a processing step as a data source whose files are sharded among the training instances."""
    return S3DataSource(s3_uri=_result(step, name), s3_data_type="S3Prefix", s3_data_distribution_type="ShardedByS3Key")


def _json_source(folder: Any, name: str) -> MetricsSource:
    return MetricsSource(s3_uri=Join(on="", values=[folder, name]), content_type="application/json")

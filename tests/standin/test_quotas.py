"""The quotas of the stand-in: what a fresh account may have, how it gets more, and what SageMaker refuses till then."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from standin.account import StandInAccount
from standin.quotas import ALL_ENDPOINTS, FRESH

ENDPOINT = {"ServiceCode": "sagemaker", "QuotaCode": "L-614B09FD"}
EVERY = {"ServiceCode": "sagemaker", "QuotaCode": "L-7A3DF611"}


def grant(account: StandInAccount, value: float, quota: dict[str, str] = ENDPOINT) -> None:
    account.client("service-quotas").request_service_quota_increase(**quota, DesiredValue=value)
    account.cloud.quotas.approve()


def configure(account: StandInAccount, name: str, **variant: Any) -> None:
    """An endpoint configuration with one variant."""
    sagemaker = account.client("sagemaker")
    if not sagemaker.list_models()["Models"]:
        sagemaker.create_model(ModelName="model", PrimaryContainer={"Image": "image"})
    given = variant or {"InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    variants = [{"VariantName": "AllTraffic", "ModelName": "model", "InitialVariantWeight": 1, **given}]
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=variants)


def create(account: StandInAccount, config: str, name: str = "one") -> None:
    account.client("sagemaker").create_endpoint(EndpointName=name, EndpointConfigName=config)


def test_every_quota_is_listed_page_by_page(here: StandInAccount) -> None:
    pages = list(
        here.client("service-quotas").get_paginator("list_aws_default_service_quotas").paginate(ServiceCode="sagemaker")
    )
    assert len(pages) > 1
    listed = {quota["QuotaCode"]: (quota["QuotaName"], quota["Value"]) for page in pages for quota in page["Quotas"]}
    assert listed == {code: said for (service, code), said in FRESH.items() if service == "sagemaker"}


def test_a_quota_has_no_value_of_its_own_until_a_rise_is_approved(here: StandInAccount) -> None:
    client = here.client("service-quotas")
    with pytest.raises(client.exceptions.NoSuchResourceException):
        client.get_service_quota(**ENDPOINT)
    client.request_service_quota_increase(**ENDPOINT, DesiredValue=3)
    [asked] = client.list_requested_service_quota_change_history_by_quota(**ENDPOINT)["RequestedQuotas"]
    assert (asked["Status"], asked["DesiredValue"]) == ("PENDING", 3)
    with pytest.raises(client.exceptions.ResourceAlreadyExistsException):
        client.request_service_quota_increase(**ENDPOINT, DesiredValue=4)
    here.cloud.quotas.approve()
    assert client.get_service_quota(**ENDPOINT)["Quota"]["Value"] == 3
    assert client.list_requested_service_quota_change_history_by_quota(**ENDPOINT)["RequestedQuotas"] == []
    with pytest.raises(client.exceptions.IllegalArgumentException):
        client.request_service_quota_increase(**ENDPOINT, DesiredValue=3)
    unknown = {**ENDPOINT, "QuotaCode": "L-00000000"}
    with pytest.raises(client.exceptions.NoSuchResourceException):
        client.request_service_quota_increase(**unknown, DesiredValue=3)


def test_an_endpoint_is_refused_that_the_account_has_no_instances_for(here: StandInAccount) -> None:
    configure(here, "small")
    said = (
        "The account-level service limit 'ml.m5.large for endpoint usage' is 0 Instances, with current utilization of "
        "0 Instances and a request delta of 1 Instances"
    )
    with pytest.raises(ClientError, match=said) as caught:
        create(here, "small")
    assert caught.value.response["Error"]["Code"] == "ResourceLimitExceeded"
    grant(here, 1)
    create(here, "small")
    with pytest.raises(ClientError, match="is 1 Instances, with current utilization of 1 Instances"):
        create(here, "small", "another")


def test_all_endpoints_of_an_account_share_a_quota(here: StandInAccount) -> None:
    grant(here, 9)
    configure(here, "large", InstanceType="ml.m5.large", InitialInstanceCount=5)
    with pytest.raises(ClientError, match=f"'{ALL_ENDPOINTS}' is 4 Instances"):
        create(here, "large")
    grant(here, 5, EVERY)
    create(here, "large")


def test_an_update_needs_as_many_instances_again_unless_it_is_rolling(here: StandInAccount) -> None:
    sagemaker = here.client("sagemaker")
    grant(here, 3)
    for name in ("first", "second"):
        configure(here, name, InstanceType="ml.m5.large", InitialInstanceCount=2)
    create(here, "first")
    update = {"EndpointName": "one", "EndpointConfigName": "second"}
    with pytest.raises(ClientError, match="current utilization of 2 Instances and a request delta of 2 Instances"):
        sagemaker.update_endpoint(**update)
    batch = {"MaximumBatchSize": {"Type": "CAPACITY_PERCENT", "Value": 50}, "WaitIntervalInSeconds": 300}
    sagemaker.update_endpoint(**update, DeploymentConfig={"RollingUpdatePolicy": batch})


def test_serverless_endpoints_share_ten_requests_at_a_time(here: StandInAccount) -> None:
    configure(here, "small", ServerlessConfig={"MemorySizeInMB": 2048, "MaxConcurrency": 6})
    create(here, "small")
    with pytest.raises(ClientError, match="is 10 Instances, with current utilization of 6 Instances"):
        create(here, "small", "another")


@pytest.mark.parametrize(("spot", "kind"), [(False, "training job"), (True, "spot training job")])
def test_a_job_is_refused_that_the_account_has_no_instances_for(here: StandInAccount, spot: bool, kind: str) -> None:
    with pytest.raises(ClientError, match=f"'ml.m5.large for {kind} usage' is 0 Instances"):
        here.client("sagemaker").create_training_job(
            TrainingJobName="job",
            AlgorithmSpecification={"TrainingInputMode": "File", "TrainingImage": "image"},
            RoleArn="arn:aws:iam::123456789012:role/jobs",
            OutputDataConfig={"S3OutputPath": "s3://bucket"},
            ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
            StoppingCondition={"MaxRuntimeInSeconds": 60},
            EnableManagedSpotTraining=spot,
        )


def test_what_is_saved_of_accounts_holds_their_quotas(here: StandInAccount) -> None:
    here.cloud.once("more instances", lambda: grant(here, 7))
    here.cloud.empty()
    with pytest.raises(ClientError):
        here.client("service-quotas").get_service_quota(**ENDPOINT)
    here.cloud.once("more instances", lambda: None)
    assert here.client("service-quotas").get_service_quota(**ENDPOINT)["Quota"]["Value"] == 7

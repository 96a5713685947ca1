"""The service quotas of an account that nobody has used yet, what asking for more does, and what goes beyond them.

Names and codes: https://docs.aws.amazon.com/general/latest/gr/sagemaker.html and codebuild.html, with the smallest
values that accounts begin with. Operations: https://docs.aws.amazon.com/servicequotas/2019-06-24/apireference/.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from moto.sagemaker.models import sagemaker_backends

from standin.gaps import Message, RefusedError, Where

ALL_ENDPOINTS = "Number of instances across active endpoints"
ALL_SERVERLESS = "Maximum total concurrency that can be allocated across all serverless endpoints"
FRESH: Mapping[tuple[str, str], tuple[str, float]] = {
    ("codebuild", "L-2DC20C30"): ("Concurrently running builds for Linux/Medium environment", 1),
    ("sagemaker", "L-00C91CB5"): ("Number of instances across all training jobs", 4),
    ("sagemaker", "L-236AE59F"): ("ml.m5.large for transform job usage", 0),
    ("sagemaker", "L-29688C85"): ("ml.m5.large for spot training job usage", 0),
    ("sagemaker", "L-60D2A6F0"): ("Number of instances across all transform jobs", 4),
    ("sagemaker", "L-611FA074"): ("ml.m5.large for training job usage", 0),
    ("sagemaker", "L-614B09FD"): ("ml.m5.large for endpoint usage", 0),
    ("sagemaker", "L-7A3DF611"): (ALL_ENDPOINTS, 4),
    ("sagemaker", "L-8541302D"): ("ml.m5.large for processing job usage", 0),
    ("sagemaker", "L-96300102"): (ALL_SERVERLESS, 10),
    ("sagemaker", "L-F311B08F"): ("Number of instances across all processing jobs", 4),
}
"""Name and value by service and code."""

_PAGE = 5  # AWS may send fewer than it is asked for, with more to come
_PLENTY = 100
_JOBS = {
    "CreateProcessingJob": ("processing job", lambda request: request["ProcessingResources"]["ClusterConfig"]),
    "CreateTrainingJob": ("training job", lambda request: request["ResourceConfig"]),
    "CreateTransformJob": ("transform job", lambda request: request["TransformResources"]),
}
_Answer = Callable[[Where, Message], Any]


class Quotas:
    """The quotas of all accounts.

    Attributes:
        values: Those that an account has of its own, by account, Region, service and code.
        requests: What was asked for and is not decided, by the same.
    """

    def __init__(self) -> None:
        self.values: dict[tuple[str, ...], float] = {}
        self.requests: dict[tuple[str, ...], Message] = {}

    def operations(self) -> dict[tuple[str, str], _Answer]:
        """The operations of Service Quotas, by service and name."""
        names: dict[str, _Answer] = {
            "GetServiceQuota": self._get,
            "ListAWSDefaultServiceQuotas": self._list_defaults,
            "ListRequestedServiceQuotaChangeHistoryByQuota": self._list_requests,
            "RequestServiceQuotaIncrease": self._request,
        }
        return {("service-quotas", name): answer for name, answer in names.items()}

    def limits(self) -> dict[tuple[str, str], _Answer]:
        """What refuses an operation that would go beyond a quota, by service and name."""
        endpoints: dict[str, _Answer] = {
            "CreateEndpoint": self._create_endpoint,
            "UpdateEndpoint": self._update_endpoint,
        }
        jobs = {name: self._job(*job) for name, job in _JOBS.items()}
        return {("sagemaker", name): limit for name, limit in (endpoints | jobs).items()}

    def approve(self) -> None:
        """Do what AWS does hours or days after quotas were asked for."""
        for key, request in self.requests.items():
            self.values[key] = request["DesiredValue"]
        self.requests.clear()

    def grow(self, account: str, region: str) -> None:
        """Let an account have the quotas of one that has been used for long."""
        self.values |= {(account, region, *quota): _PLENTY for quota in FRESH}

    def _list_defaults(self, _: Where, request: Message) -> Message:
        listed = [_described(*quota) for quota in FRESH if quota[0] == request["ServiceCode"]]
        begin = int(request.get("NextToken", 0))
        end = begin + min(_PAGE, request.get("MaxResults", _PAGE))
        return {"Quotas": listed[begin:end], **({"NextToken": str(end)} if end < len(listed) else {})}

    def _get(self, where: Where, request: Message) -> Message:
        key = _key(where, request)
        if key not in self.values:
            raise _missing()
        return {"Quota": {**_described(*key[2:]), "Value": self.values[key]}}

    def _request(self, where: Where, request: Message) -> Message:
        key = _key(where, request)
        if key[2:] not in FRESH:
            raise _missing()
        if key in self.requests:
            raise RefusedError(
                "ResourceAlreadyExistsException", "Only one open service quota increase request is allowed."
            )
        if request["DesiredValue"] <= self.values.get(key, FRESH[key[2], key[3]][1]):
            raise RefusedError(
                "IllegalArgumentException", "You must provide a value greater than the current quota value."
            )
        self.requests[key] = {**request, "Status": "PENDING", "Id": f"request-{len(self.requests)}"}
        return {"RequestedQuota": self.requests[key]}

    def _list_requests(self, where: Where, request: Message) -> Message:
        key = _key(where, request)
        return {"RequestedQuotas": [self.requests[key]] if key in self.requests else []}

    def _create_endpoint(self, where: Where, request: Message) -> None:
        self._require_room(where, _fleet(where, request["EndpointConfigName"]))

    def _update_endpoint(self, where: Where, request: Message) -> None:
        """Beside the instances that are there, unless it is rolling, as many new ones are started.

        https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails-blue-green.html
        """
        endpoint = sagemaker_backends[where.account][where.region].endpoints.get(request["EndpointName"])
        if endpoint is None:
            return
        kept = endpoint.production_variants if request.get("RetainAllVariantProperties") else ()
        fleet = _fleet(where, request["EndpointConfigName"], kept)
        if rolling := request.get("DeploymentConfig", {}).get("RollingUpdatePolicy"):
            size = rolling["MaximumBatchSize"]
            share = size["Value"] / 100
            for name, count in fleet.items():
                fleet[name] = math.ceil(count * share) if size["Type"] == "CAPACITY_PERCENT" else size["Value"]
        self._require_room(where, fleet)

    def _job(self, kind: str, resources: Callable[[Message], Message]) -> _Answer:
        def limit(where: Where, request: Message) -> None:
            asked = resources(request)
            spot = "spot " if request.get("EnableManagedSpotTraining") else ""
            self._require_room(where, {f"{asked['InstanceType']} for {spot}{kind} usage": asked["InstanceCount"]}, {})

        return limit

    def _require_room(self, where: Where, more: Mapping[str, int], taken: Mapping[str, int] | None = None) -> None:
        """Refuse what goes beyond a quota, in the words of SageMaker; the jobs of moto end at once.

        https://github.com/aws-samples/sagemaker-custom-project-templates/issues/51
        """
        taken = _taken(where) if taken is None else taken
        for name, delta in more.items():
            value, used = self._value(where, name), taken.get(name, 0)
            if used + delta > value:
                raise RefusedError(
                    "ResourceLimitExceeded",
                    f"The account-level service limit '{name}' is {value:g} Instances, with current utilization of "
                    f"{used} Instances and a request delta of {delta} Instances. Please use AWS Service Quotas to "
                    "request an increase for this quota.",
                )

    def _value(self, where: Where, name: str) -> float:
        """The value of a quota; 0 of one that is not in the table: a type of instances that nobody was given."""
        for quota, (its_name, value) in FRESH.items():
            if its_name == name:
                return self.values.get((*where, *quota), value)
        return 0


def _missing() -> RefusedError:
    return RefusedError("NoSuchResourceException", "The request failed because the specified resource does not exist.")


def _key(where: Where, request: Message) -> tuple[str, ...]:
    return (*where, request["ServiceCode"], request["QuotaCode"])


def _described(service: str, code: str) -> Message:
    name, value = FRESH[service, code]
    return {"ServiceCode": service, "QuotaCode": code, "QuotaName": name, "Value": value, "Adjustable": True}


def _fleet(where: Where, config: str, kept: Iterable[Message] = ()) -> Counter[str]:
    """What the variants of an endpoint configuration take of quotas, by name.

    Args:
        where: The account and Region.
        config: The configuration's name; what is not there is refused by whoever needs it.
        kept: Variants of the endpoint whose numbers of instances stay.
    """
    found = sagemaker_backends[where.account][where.region].endpoint_configs.get(config)
    counts = {
        variant["VariantName"]: variant["DesiredInstanceCount"] for variant in kept if "DesiredInstanceCount" in variant
    }
    fleet = Counter[str]()
    for variant in found.production_variants if found else ():
        if "ServerlessConfig" in variant:
            fleet[ALL_SERVERLESS] += variant["ServerlessConfig"]["MaxConcurrency"]
        else:
            count = counts.get(variant["VariantName"], variant["InitialInstanceCount"])
            fleet += Counter({f"{variant['InstanceType']} for endpoint usage": count, ALL_ENDPOINTS: count})
    return fleet


def _taken(where: Where) -> Counter[str]:
    """What the endpoints of an account take."""
    endpoints: Iterator[Any] = iter(sagemaker_backends[where.account][where.region].endpoints.values())
    return sum(
        (_fleet(where, each.endpoint_config_name, each.production_variants) for each in endpoints), Counter[str]()
    )

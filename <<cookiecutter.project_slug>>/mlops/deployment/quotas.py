"""The service quotas of an account: their values and pending increases."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from mlops.project.account import Account, aws_errors

_UNDECIDED = ("PENDING", "CASE_OPENED")
_PAGE = 100


@dataclass(frozen=True)
class Quota:
    """A quota of one account and Region.

    Attributes:
        service: The code of the service, for example sagemaker.
        name: The name of the quota, for example "ml.m5.large for endpoint usage".
        code: The code of the quota, for example L-614B09FD.
        value: The value that applies to the account.
    """

    service: str
    name: str
    code: str
    value: float


def look_up(account: Account, service: str, names: Iterable[str]) -> dict[str, Quota]:
    """Return quotas by name; names that the service does not list in this Region are left out.

    Codes are looked up by name, because there are thousands: one for each instance type and use.

    Raises:
        MlopsError: The caller lacks permission, or an AWS call fails.
    """
    wanted, listed = set(names), dict[str, dict[str, Any]]()
    with aws_errors(f"read the service quotas of {service}"):
        pages = account.quotas.get_paginator("list_aws_default_service_quotas")
        for page in pages.paginate(ServiceCode=service, PaginationConfig={"PageSize": _PAGE}):
            listed |= {quota["QuotaName"]: quota for quota in page["Quotas"] if quota["QuotaName"] in wanted}
            if len(listed) == len(wanted):
                break
        return {
            name: Quota(service, name, quota["QuotaCode"], _value(account, quota)) for name, quota in listed.items()
        }


def pending_increase(account: Account, quota: Quota) -> float | None:
    """Return the value of a pending request for an increase; None without one.

    Raises:
        MlopsError: The caller lacks permission, or an AWS call fails.
    """
    with aws_errors(f"read the requests for increases of {quota.code}"):
        pages = account.quotas.get_paginator("list_requested_service_quota_change_history_by_quota")
        requested = [
            float(request["DesiredValue"])
            for page in pages.paginate(ServiceCode=quota.service, QuotaCode=quota.code)
            for request in page["RequestedQuotas"]
            if request["Status"] in _UNDECIDED
        ]
    return max(requested, default=None)


def _value(account: Account, default: dict[str, Any]) -> float:
    """Return the value that applies to the account, which may be above or below AWS's default."""
    try:
        applied = account.quotas.get_service_quota(ServiceCode=default["ServiceCode"], QuotaCode=default["QuotaCode"])
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchResourceException":
            raise
        return float(default["Value"])  # the account has no value of its own
    return float(applied["Quota"]["Value"])

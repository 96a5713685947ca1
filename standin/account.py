"""AWS on this machine: any number of accounts behind one address, moto's server with what it lacks."""

import copy
import copyreg
import json
import os
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from enum import Enum
from functools import cache, cached_property
from threading import Condition, Lock, RLock, Thread
from typing import Any, TypeVar, cast
from weakref import WeakValueDictionary

import boto3
import botocore.session
import moto.backends
import moto.sagemaker.models
import pytest
from botocore.config import Config
from cryptography.hazmat.primitives.asymmetric import rsa
from moto.applicationautoscaling import models as autoscaling
from moto.applicationautoscaling import responses as autoscaling_responses
from moto.awslambda.models import LambdaStorage, LayerStorage
from moto.core.base_backend import BackendDict
from moto.core.model_instances import reset_model_data
from moto.iam.access_control import PermissionResult
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from moto.s3.models import FakeBucket, FakeKey, S3Backend, s3_backends
from moto.sns.models import SNSBackend, Subscription
from moto.ssm.models import ParameterDict
from werkzeug.serving import make_server

from standin import crossing, firehose, mail, models, replication
from standin.assuming import assuming
from standin.existing_principals import existing_principals
from standin.forkserver import ForkServer, forkserver
from standin.gateway import Gateway
from standin.iam import applies, statements
from standin.principals import access_key, account_of, session_token, temporary
from standin.quotas import Quotas

T = TypeVar("T")
ACCOUNT, REGION = "123456789012", "eu-west-1"
_IN_USE: list[Any] = vars(BackendDict)["_instances"]
"""moto's services that hold something, each a mapping of accounts."""


@dataclass(frozen=True)
class StandInAccount:
    """An account that answers at an address of this machine.

    Attributes:
        cloud: What it is a part of.
        id: Its number.
        region: The Region that its clients use.
    """

    cloud: "Cloud"
    id: str = ACCOUNT
    region: str = REGION

    def __deepcopy__(self, _: Any) -> "StandInAccount":
        """Accounts are places: a copy of what is in one is in the same place."""
        return self

    @property
    def endpoint(self) -> str:
        """The address."""
        return self.cloud.endpoint

    def client(self, service: str, role: str = "") -> Any:
        """The boto3 client of a service.

        Args:
            service: As boto3 calls it.
            role: ARN of the role of this account that uses it; the account's administrator when it is empty.
        """
        return self.cloud.client(service, self.id, self.region, self._own(role))

    def _own(self, role: str) -> str:
        if role and account_of(role) != self.id:
            raise ValueError(f"{role} is not a role of the account {self.id}")
        return role

    def environment(self, role: str = "") -> Mapping[str, str]:
        """What a process needs in its environment to use this account; it inherits nothing else.

        Args:
            role: ARN of the role of this account that the process runs as; its administrator when it is empty.
        """
        return {
            "PATH": os.environ["PATH"],
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ACCESS_KEY_ID": access_key(self.id),
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_MAX_ATTEMPTS": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            **(temporary(self._own(role)) if role else {}),
        }

    def grow(self) -> None:
        """Have the quotas of an account that has been used for long."""
        self.cloud.quotas.grow(self.id, self.region)

    def enter(self, patch: pytest.MonkeyPatch, role: str = "") -> None:
        """Let boto3 in this process use this account and no other, until the patch is undone.

        Args:
            patch: What is undone.
            role: ARN of the role of this account that it is used as; its administrator when it is empty.
        """
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
            patch.delenv(name, raising=False)
        for name, value in self.environment(role).items():
            patch.setenv(name, value)
        patch.setattr(boto3, "DEFAULT_SESSION", None)


@dataclass(frozen=True)
class Saved:
    """What all accounts held at a moment; see `Cloud.save`.

    Attributes:
        services: Moto's services, and what each holds by account.
        tables: The content of `Cloud.tables`.
    """

    services: Sequence[tuple[Any, Mapping[str, Any]]]
    tables: Sequence[Mapping[Any, Any]]

    def copy(self) -> "Saved":
        """A copy of all of it in one go, so that what one service holds of another stays the same thing."""
        known = {id(service): service for service, _ in self.services}  # moto's own tables are not copied
        return Saved(*copy.deepcopy((self.services, self.tables), known))

    def discard(self) -> None:
        """Close the temporary files of what S3 holds."""
        for service, accounts in self.services:
            if service is s3_backends:
                for in_account in accounts.values():
                    in_account.reset()


@dataclass(frozen=True)
class Cloud:
    """All accounts of this process, behind one server.

    Attributes:
        endpoint: Its address.
        gaps: What answers where moto does not.
        quotas: How much of what an account may have.
        ended: What ends with them.
    """

    endpoint: str
    gaps: Gateway
    quotas: Quotas
    ended: ExitStack
    _clients: dict[tuple[str, str, str, str], Any] = field(default_factory=dict)
    _moments: dict[Hashable, tuple["Saved", Any]] = field(default_factory=dict)

    @property
    def tables(self) -> list[dict[Any, Any]]:
        """What is kept beside moto's services."""
        return [self.gaps.records, self.quotas.values, self.quotas.requests, s3_backends.bucket_accounts]

    @cached_property
    def python(self) -> ForkServer:
        """Python processes with boto3, to run functions and commands of builds in."""
        return self.ended.enter_context(forkserver(["standin.warm"]))

    def account(self, number: str = ACCOUNT, region: str = REGION) -> StandInAccount:
        """An account, as a Region of it shows it; one that nothing was put into is empty."""
        return StandInAccount(self, number, region)

    def client(self, service: str, account: str, region: str, role: str = "") -> Any:
        """The boto3 client of a service in an account, as a role or its administrator."""
        known = (service, account, region, role)
        if known not in self._clients:
            self._clients[known] = boto3.Session().client(
                service,
                region_name=region,
                endpoint_url=self.endpoint,
                aws_access_key_id=access_key(account),
                aws_secret_access_key="testing",
                aws_session_token=session_token(role) if role else None,
                config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
            )
        return self._clients[known]

    def empty(self) -> None:
        """Take away all that is in the accounts."""
        Saved([(service, dict(service)) for service in _IN_USE], ()).discard()
        for service in _IN_USE:
            service.clear()
        _IN_USE.clear()
        reset_model_data()
        for table in self.tables:
            table.clear()
        self.gaps.answers.clear()

    def forget(self) -> None:
        """Take away all that is in the accounts, and all that was kept of them."""
        self.empty()
        for saved, _ in self._moments.values():
            saved.discard()
        self._moments.clear()

    def once(self, moment: Hashable, prepare: Callable[[], T]) -> T:
        """Let the accounts be as a function leaves them, which is called the first time only.

        Args:
            moment: What tells this state of the accounts from others.
            prepare: Puts into the accounts, which are empty, what is to be there.

        Returns:
            What the function returned: the same object each time.

        Raises:
            RuntimeError: Something is in the accounts already, which would be lost.
        """
        if any(_IN_USE) or self.gaps.records:
            raise RuntimeError(f"the accounts are not empty before {moment}")
        if moment in self._moments:
            saved, value = self._moments[moment]
            self.restore(saved)
            return cast(T, value)
        value = prepare()
        self._moments[moment] = self.save(), value
        return value

    def save(self) -> Saved:
        """Keep what all accounts hold, to go back to it."""
        tracked = list(vars(FakeKey)["instances_tracked"])
        saved = Saved([(service, dict(service)) for service in _IN_USE], self.tables).copy()
        type.__setattr__(FakeKey, "instances_tracked", tracked)  # moto closes those when accounts are emptied
        return saved

    def restore(self, saved: Saved) -> None:
        """Let all accounts hold what was saved, and nothing else; the same can be restored again."""
        self.empty()
        copied = saved.copy()
        for service, accounts in copied.services:
            service.update(accounts)
            _IN_USE.append(service)
        for table, content in zip(self.tables, copied.tables, strict=True):
            table.update(content)


def _parameters(held: ParameterDict) -> tuple[Any, ...]:
    """How moto's parameters of SSM are copied, whose class cannot be called without their place."""
    return ParameterDict, (held.account_id, held.region_name), vars(held), None, iter(held.items())


def _storage(held: LambdaStorage | LayerStorage) -> tuple[Any, ...]:
    """How moto's functions and layers are copied; a copy of their index by ARN would refer to the originals, weakly."""
    return _restored, (type(held), {**vars(held), "_arns": dict(held._arns)})


def _restored(kind: Any, held: dict[str, Any]) -> Any:
    storage = kind.__new__(kind)
    vars(storage).update(held, _arns=WeakValueDictionary(held["_arns"]))
    return storage


copyreg.pickle(ParameterDict, _parameters)
copyreg.pickle(LambdaStorage, _storage)
copyreg.pickle(LayerStorage, _storage)
# What guards a copy is free.
copyreg.pickle(Condition, lambda _: (Condition, ()))
copyreg.pickle(type(Lock()), lambda _: (Lock, ()))
copyreg.pickle(type(RLock()), lambda _: (RLock, ()))


class _Quiet(MotoRequestHandler):
    protocol_version = "HTTP/1.1"  # connections are kept

    def log(self, *_: Any, **__: Any) -> None:
        """Say nothing: tests show what was asked by other means."""


def _bucket_permission(bucket: FakeBucket, action: str, resource: str) -> PermissionResult:
    """What a bucket's policy says of a call over TLS; moto takes no notice of conditions, and refuses all calls."""
    document = json.loads(bucket.policy) if bucket.policy else {"Statement": []}
    denies = [statement for statement in statements(document) if statement["Effect"] == "Deny"]
    asked = [{key for keys in statement.get("Condition", {}).values() for key in keys} for statement in denies]
    context = {"aws:SecureTransport": True}
    for statement, keys in zip(denies, asked, strict=True):
        # Who calls is not known here.
        if keys <= context.keys() and applies(statement, action, resource, context):
            return PermissionResult.DENIED
    return PermissionResult.NEUTRAL


@cache
def _signing_key() -> rsa.RSAPrivateKey:
    """What SNS signs with."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@cache
def _scalable_dimensions() -> Any:
    """What can be scaled; moto knows a part."""
    model = botocore.session.get_session().get_service_model("application-autoscaling")
    dimensions = model.operation_model("RegisterScalableTarget").input_shape.members["ScalableDimension"].enum
    return Enum("ScalableDimensionValueSet", {name: name for name in dimensions})


_all_policies = autoscaling_responses.ApplicationAutoScalingResponse.describe_scaling_policies


def _named_policies(response: autoscaling_responses.ApplicationAutoScalingResponse) -> str:
    """The scaling policies that are asked for; moto takes no notice of names."""
    answer, names = json.loads(_all_policies(response)), response._get_param("PolicyNames")
    found = [policy for policy in answer["ScalingPolicies"] if not names or policy["PolicyName"] in names]
    return json.dumps({**answer, "ScalingPolicies": found})


def _text_of_definition(location: Mapping[str, str], account_id: str, partition: str) -> str:
    """A pipeline's definition as it was sent; moto gives Python's repr of it, parsed."""
    key: Any = s3_backends[account_id][partition].get_object(location["Bucket"], location["ObjectKey"])
    text: str = key.value.decode()
    return text


def _encryption(backend: S3Backend, bucket_name: str) -> Any:
    """How S3 encrypts what is put into a bucket: always; with keys of its own where moto says not at all.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/default-encryption-faq.html
    """
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}, "BucketKeyEnabled": "false"}
    return backend.get_bucket(bucket_name).encryption or {"Rule": rule}


@contextmanager
def cloud() -> Iterator[Cloud]:
    """Accounts, all empty, for as long as the `with` block takes."""
    quotas = Quotas()
    more = {**quotas.operations(), **firehose.operations()}
    limits = {**quotas.limits(), **firehose.limits(), **crossing.limits()}
    gaps = Gateway(DomainDispatcherApplication(create_backend_app), more, limits)
    server = make_server("127.0.0.1", 0, gaps, threaded=True, request_handler=_Quiet)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    with ExitStack() as ended:
        patch = ended.enter_context(pytest.MonkeyPatch.context())
        # moto lists its folder for each request, and makes a key for each subscription.
        services = tuple(moto.backends.list_of_moto_modules())
        patch.setattr(moto.backends, "list_of_moto_modules", lambda: services)
        patch.setattr(Subscription, "private_key", lambda _: _signing_key())
        patch.setattr(FakeBucket, "get_permission", _bucket_permission)
        patch.setattr(S3Backend, "get_bucket_encryption", _encryption)
        patch.setattr(moto.sagemaker.models, "load_pipeline_definition_from_s3", _text_of_definition)
        patch.setattr(SNSBackend, "list_subscriptions_by_topic", mail.subscriptions)
        for module in (autoscaling, autoscaling_responses):
            patch.setattr(module, "ScalableDimensionValueSet", _scalable_dimensions())
        patch.setattr(
            autoscaling_responses.ApplicationAutoScalingResponse, "describe_scaling_policies", _named_policies
        )
        models.keep()
        ended.enter_context(assuming())
        ended.enter_context(crossing.crossings())
        ended.enter_context(existing_principals())
        ended.enter_context(firehose.subscriptions())
        ended.enter_context(replication.replication(lambda service, account: accounts.client(service, account, REGION)))
        thread.start()
        ended.callback(server.server_close)
        ended.callback(thread.join)
        ended.callback(server.shutdown)
        accounts = Cloud(f"http://127.0.0.1:{server.server_port}", gaps, quotas, ended)
        accounts.empty()
        ended.callback(accounts.forget)
        yield accounts

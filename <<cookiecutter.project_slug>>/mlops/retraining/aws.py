"""Retraining in AWS: messages to the function that decides (`mlops.functions.retrain`), and what it has decided."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from mlops.base.commands import MLOPS
from mlops.base.environments import SHARED
from mlops.base.errors import MlopsError
from mlops.base.waiting import Clock, wait
from mlops.project import pipelines
from mlops.project.account import aws_errors, is_missing
from mlops.project.target import Target
from mlops.registry.sagemaker import AwsRegistry
from mlops.retraining import executions
from mlops.retraining.memory import MANUAL, RESUME, Decision, State
from mlops.retraining.policy import Policy, Status, newest_of
from mlops.retraining.runs import require_training
from mlops.retraining.status import status
from mlops.retraining.table import Table

_PATIENCE = 180.0


@dataclass(frozen=True)
class AwsRetraining:
    """Retraining of a project in its account.

    Attributes:
        target: The environment that trains.
        clock: The clock; tests replace it.
    """

    target: Target
    clock: Clock = field(default=time)

    @classmethod
    def of(cls, target: Target) -> "AwsRetraining":
        """Return retraining in an environment.

        Raises:
            MlopsError: Nothing trains there, or the credentials belong to another account.
        """
        require_training(target)
        target.account.verify()
        return cls(target)

    def request(self, trigger_id: str, reason: str, *, force: bool) -> Decision:
        """Request a retraining, and wait for the decision.

        Args:
            trigger_id: The id of the request.
            reason: The reason, as free text.
            force: Whether to train even if the newest version was trained on the same data.

        Raises:
            MlopsError: The stack is not deployed, an AWS call fails, or there is no decision within three minutes.
        """
        return self._decision({"kind": MANUAL, "id": trigger_id, "reason": reason, "force": force})

    def resume(self, id_: str, reason: str) -> Decision:
        """Request that retraining continues after repeated failures of the quality gate, and wait for the decision.

        Args:
            id_: The id of the request.
            reason: The reason, as free text.

        Raises:
            MlopsError: As for `request`.
        """
        return self._decision({"kind": RESUME, "id": id_, "reason": reason})

    def status(self) -> dict[str, Any]:
        """Return the status of retraining as a JSON document, with the limits of the deployed function.

        Raises:
            MlopsError: The stack is not deployed, or an AWS call fails.
        """
        account, names = self.target.account, self.target.names
        state, run = self._read(), Status.EXECUTING
        with aws_errors("read the limits of retraining"), self._deployed():
            function = account.functions.get_function_configuration(FunctionName=names.retraining)
        with aws_errors("read the executions of the training pipeline"):
            if state.running and state.running.execution:
                run = executions.status(account.sagemaker, state.running.execution)
            pipeline = pipelines.name(self.target.project.slug, pipelines.TRAINING)
            hold = executions.hold(account.sagemaker, pipeline) if state.pending else ""
        rules = Policy.of_variables(function["Environment"]["Variables"])
        newest = newest_of(AwsRegistry.of(self.target).versions())
        document = status(rules, state, newest, datetime.now(UTC), run if state.running else None)
        if state.pending:
            document["pending"]["waits_for"] = document["pending"]["waits_for"] or hold
        return document

    def _decision(self, message: Mapping[str, Any]) -> Decision:
        self._send(message)
        id_ = str(message["id"])
        where = f"--environment {self.target.environment}"
        return wait(
            lambda: self._read().decisions.get(id_),
            f"The decision on {id_}",
            self.clock,
            _PATIENCE,
            f"It is requested and will be decided on; do not request it again. See {MLOPS} retrain {where} --status",
        )

    def _read(self) -> State:
        with aws_errors("read the state of retraining"), self._deployed():
            return Table(self.target.account.tables, self.target.names.retraining).read()

    def _send(self, message: Mapping[str, Any]) -> None:
        queues, name = self.target.account.queues, self.target.names.retraining
        with aws_errors(f"send a message to the queue {name}"), self._deployed():
            queues.send_message(
                QueueUrl=queues.get_queue_url(QueueName=name)["QueueUrl"], MessageBody=json.dumps(message)
            )

    @contextmanager
    def _deployed(self) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            if not is_missing(error):
                raise
            raise MlopsError(
                f"Retraining is not deployed in {self.target.environment} yet.",
                f"Deploy it: {MLOPS} deploy --environment {SHARED}",
            ) from None

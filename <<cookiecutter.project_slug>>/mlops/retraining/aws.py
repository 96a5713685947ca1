"""Retraining in AWS: messages to the function that decides (`mlops.functions.retrain`), and what it has decided."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from mlops.base.commands import MLOPS
from mlops.base.environments import SHARED
from mlops.base.errors import MlopsError
from mlops.base.waiting import Clock, wait
from mlops.project.account import aws_errors, is_missing
from mlops.project.target import Target
from mlops.registry.sagemaker import AwsRegistry
from mlops.retraining import executions
from mlops.retraining.limits import policy
from mlops.retraining.memory import MANUAL, RESUME, Decision, State
from mlops.retraining.policy import newest_of
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
        self._send({"kind": MANUAL, "id": trigger_id, "reason": reason, "force": force})
        what = f"The decision on {trigger_id}"
        return wait(lambda: self._read().decisions.get(trigger_id), what, self.clock, _PATIENCE)

    def resume(self, reason: str) -> None:
        """Request that retraining continues after repeated failures of the quality gate.

        Raises:
            MlopsError: The stack is not deployed, or an AWS call fails.
        """
        self._send({"kind": RESUME, "reason": reason})

    def status(self) -> dict[str, Any]:
        """Return the status of retraining as a JSON document.

        Raises:
            MlopsError: The stack is not deployed, or an AWS call fails.
        """
        state, run = self._read(), None
        if state.running and state.running.execution:
            with aws_errors(f"read {state.running.execution}"):
                run = executions.status(self.target.account.sagemaker, state.running.execution)
        rules = policy(self.target.settings, timedelta(0), timedelta(0))
        newest = newest_of(AwsRegistry.of(self.target).versions())
        return status(rules, state, newest, datetime.now(UTC), run)

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

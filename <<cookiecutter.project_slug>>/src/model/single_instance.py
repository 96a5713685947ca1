"""Training on one instance, for what has no way to train on several or gains nothing from it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from model.job import JobError


@contextmanager
def alone(learner: str, hosts: Sequence[str], current: str) -> Iterator[bool]:
    """Enter the training on the only instance.

    Args:
        learner: What trains, for the message.
        hosts: The names of all instances.
        current: The name of this one.

    Yields:
        True: this instance writes the model.

    Raises:
        JobError: There are other instances.
    """
    if len(hosts) > 1:
        raise JobError(
            f"{learner} trains on one instance, and {current} is one of {len(hosts)}: set training.instance_count "
            "in config/ (the parameter TrainingInstanceCount) to 1"
        )
    yield True

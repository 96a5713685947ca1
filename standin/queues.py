"""Queues that functions read: messages are delivered when a test says so, as Lambda's event source mappings do."""

from typing import Any

from standin.account import StandInAccount
from standin.lambdas import invoke


def drain(account: StandInAccount, queue: str, *, times: int = 1) -> list[tuple[Any, str]]:
    """Deliver what is in a queue to the function that reads it, in batches of the size of its mapping.

    Messages that the function reports as failed, or all of a batch when it raises, become visible again; after
    `maxReceiveCount` deliveries they go to the dead-letter queue.
    https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html

    Args:
        account: Within `real_handlers`.
        queue: The queue's name.
        times: How often what fails is delivered.

    Returns:
        What the function answered and what it raised, by batch.
    """
    sqs, functions = account.client("sqs"), account.client("lambda")
    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    [mapping] = functions.list_event_source_mappings(EventSourceArn=arn)["EventSourceMappings"]
    answers = []
    for _ in range(times):
        received = _receive(sqs, url)
        for start in range(0, len(received), mapping["BatchSize"]):
            batch = received[start : start + mapping["BatchSize"]]
            records = [
                {"messageId": each["MessageId"], "body": each["Body"], "eventSource": "aws:sqs", "eventSourceARN": arn}
                for each in batch
            ]
            answer, error = invoke(account, mapping["FunctionArn"], {"Records": records})
            answers.append((answer, error))
            failed = {each["itemIdentifier"] for each in (answer or {}).get("batchItemFailures", [])}
            for message in batch:
                handle = {"QueueUrl": url, "ReceiptHandle": message["ReceiptHandle"]}
                if error or message["MessageId"] in failed:
                    sqs.change_message_visibility(**handle, VisibilityTimeout=0)
                else:
                    sqs.delete_message(**handle)
    return answers


def waiting(account: StandInAccount, queue: str) -> list[str]:
    """Return the bodies of the messages in a queue, which stay there."""
    sqs = account.client("sqs")
    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    received = _receive(sqs, url)
    for message in received:
        sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0)
    return [message["Body"] for message in received]


def _receive(sqs: Any, url: str) -> list[dict[str, Any]]:
    received: list[dict[str, Any]] = []
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
        received += messages
    return received

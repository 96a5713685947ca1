"""A response is written at once."""

import asyncio
from typing import Any, cast

from mlops.serving.transport import OneWrite


class Transport:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.said: list[Any] = []

    def write(self, data: bytes) -> None:
        self.said.append(data)

    def close(self) -> None:
        self.said.append("closed")

    def is_closing(self) -> bool:
        return "closed" in self.said

    def pause_reading(self) -> None:
        self.said.append("paused")


async def turn(*steps: str) -> list[Any]:
    """What reaches the transport: a step is written, unless it is the name of a method or `turn`."""
    transport = Transport()
    one_write = OneWrite(cast(Any, transport), asyncio.get_running_loop())
    for step in steps:
        if step == "turn":
            await asyncio.sleep(0)
        elif hasattr(transport, step):
            getattr(one_write, step)()
        else:
            one_write.write(step.encode())
    await asyncio.sleep(0)
    return transport.said


def test_what_is_written_in_a_turn_is_sent_together_and_in_order() -> None:
    assert asyncio.run(turn("head", " body", "turn", "next")) == [b"head body", b"next"]


def test_closing_sends_what_was_written_first() -> None:
    assert asyncio.run(turn("head", " body", "close")) == [b"head body", "closed"]


def test_nothing_is_sent_after_closing() -> None:
    assert asyncio.run(turn("close", "late")) == ["closed"]


def test_everything_else_goes_through() -> None:
    assert asyncio.run(turn("pause_reading")) == ["paused"]

"""The protocol of a connection, over sockets on loopback: what is answered, refused and ignored, and in which order."""

import asyncio
import functools
import gc
import json
import re
import weakref
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
import uvloop

from mlops.serving import heads, transport
from mlops.serving.app import Application
from mlops.serving.deadlines import KEEP_ALIVE_SECONDS, LINGER_SECONDS, Deadlines
from mlops.serving.metrics import Metrics
from mlops.serving.server import HttpServer
from mlops.serving.settings import Settings
from mlops.serving.transport import HttpProtocol

POST = b"POST /invocations HTTP/1.1\r\nHost: here\r\n"
LENGTH = POST + b"Content-Length: 2\r\n"
REQUEST = LENGTH + b"\r\n21"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n"
UPGRADE = b"Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAEAAEAAAAIAAAAB\r\nUpgrade: h2c\r\n"
SETTINGS = Settings(read_timeout_seconds=20, write_timeout_seconds=10)
PATIENCE = 30.0


@dataclass
class Echo:
    """An application that answers with the body, or with as many kilobytes as it says."""

    refused: Counter[int] = field(default_factory=Counter)
    metrics: Metrics = field(default_factory=Metrics)
    bodies: list[bytes] = field(default_factory=list)
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, scope: Mapping[str, Any], receive: Any, send: Any) -> None:
        body = b""
        message = {"more_body": True}
        while message["more_body"]:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += cast(bytes, message["body"])
        self.bodies.append(body)
        await self.may_answer.wait()
        if body.startswith(b"K"):
            body = b"x" * 1024 * int(body[1:])
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
        await send({"type": "http.response.body", "body": body})


@dataclass
class Running:
    """A server in this process."""

    app: Echo
    http: HttpServer
    address: tuple[str, int]

    @property
    def refused(self) -> dict[int, int]:
        return dict(self.http.traffic.refused)

    async def connect(self, limit: int = 2**16) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(*self.address, limit=limit)

    async def send(self, *packets: bytes, half_close: bool = True) -> bytes:
        """Send packets one after the other, and return what comes back until the connection ends."""
        reader, writer = await self.connect()
        received = asyncio.ensure_future(reader.read())
        with suppress(ConnectionError):
            for packet in packets:
                writer.write(packet)
                await writer.drain()
                await self.settled()
            if half_close:
                writer.write_eof()
        try:
            return await asyncio.wait_for(received, PATIENCE)
        finally:
            writer.close()

    async def settled(self) -> None:
        """Let the server read what has arrived."""
        for _ in range(3):
            await asyncio.sleep(0.001)

    def connections(self) -> list[HttpProtocol]:
        return list(self.http.connections)

    async def until(self, condition: Callable[[], object]) -> None:
        async def wait() -> None:
            while not condition():
                await asyncio.sleep(0.005)

        await asyncio.wait_for(wait(), PATIENCE)


def run(test: Callable[[Running], Awaitable[None]], *, answers: bool = True) -> None:
    """Run a test beside a server."""

    async def serve() -> None:
        app = Echo()
        if answers:
            app.may_answer.set()
        http = HttpServer(cast(Application, app), SETTINGS)
        http.config.load()
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: HttpProtocol(http.config, http.server_state, {}, traffic=http.traffic), "127.0.0.1", 0
        )
        try:
            await test(Running(app, http, server.sockets[0].getsockname()))
        finally:
            server.close()
            for connection in list(http.connections):
                connection.transport.abort()
            await asyncio.sleep(0.01)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())


def exchange(*packets: bytes, half_close: bool = True) -> bytes:
    """Send packets to a server, and return what comes back until the connection ends."""
    received = b""

    async def test(running: Running) -> None:
        nonlocal received
        received = await running.send(*packets, half_close=half_close)

    run(test)
    return received


def statuses(received: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", received)]


def body(received: bytes) -> bytes:
    return received.rpartition(b"\r\n\r\n")[2]


def test_an_answer_is_written_at_once_with_its_length() -> None:
    received = exchange(REQUEST)
    assert received.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\ncontent-length: 2\r\n" in received
    assert body(received) == b"21"


@pytest.mark.parametrize("offer", [UPGRADE, b"Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n"])
@pytest.mark.parametrize("framing", [b"Content-Length: 2\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n"])
@pytest.mark.parametrize("split", ["whole", "head and body", "bytes"])
def test_an_offered_upgrade_is_ignored_and_the_request_answered(offer: bytes, framing: bytes, split: str) -> None:
    head = POST + offer + framing
    content = b"21" if b"Content-Length" in framing else b"1\r\n2\r\n1\r\n1\r\n0\r\n\r\n"
    request = head + content
    packets = {
        "whole": [request + REQUEST],
        "head and body": [head, content, REQUEST],
        "bytes": [request[at : at + 1] for at in range(len(request))] + [REQUEST],
    }[split]
    received = exchange(*packets)
    assert statuses(received) == [200, 200]
    assert received.count(b"\r\n\r\n21") == 2


def test_many_pipelined_upgrades_are_each_answered() -> None:
    assert statuses(exchange((POST + UPGRADE + b"Content-Length: 2\r\n\r\n21") * 50)) == [200] * 50


ENDLESS = b"x" * 1024
EXTENDED = b"1;" + b"x" * 20_000 + b"\r\n2\r\n"


@pytest.mark.parametrize(
    ("beginning", "repeated"),
    [
        (b"GET /", ENDLESS),
        (POST + b"X: ", ENDLESS),
        (POST, b"X: " + ENDLESS + b"\r\n"),
        (POST, b"A: b\r\n"),
        (POST, ENDLESS),
        (b"", b"\r\n" * 512),
        (REQUEST + POST + b"X: ", ENDLESS),
        (POST + UPGRADE + b"X: ", ENDLESS),
        (CHUNKED + b"\r\n2;", ENDLESS),
        (CHUNKED + b"\r\n", EXTENDED),
        (CHUNKED + b"\r\n0\r\nX: ", ENDLESS),
        (CHUNKED + b"\r\n0\r\n", b"X: " + ENDLESS + b"\r\n"),
        (CHUNKED + b"\r\n2\r\n21\r\n0\r\n", b"X: y\r\n" * 100),
    ],
)
def test_a_head_or_trailers_without_end_are_refused_near_the_limit(beginning: bytes, repeated: bytes) -> None:
    async def test(running: Running) -> None:
        reader, writer = await running.connect()
        writer.write(beginning)
        sent = 0
        while not (running.refused or writer.is_closing()):
            writer.write(repeated)
            await writer.drain()
            await running.settled()
            sent += len(repeated)
            assert sent < 2 * heads.HEAD_BYTES
        assert running.refused == {431: 1}
        received = await asyncio.wait_for(reader.read(), PATIENCE)
        assert statuses(received)[-1] == 431
        assert b"connection: close" in received
        writer.close()

    run(test)


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (LENGTH + b"X: " + b"x" * (heads.HEAD_BYTES - 200) + b"\r\n", 200),
        (LENGTH + b"X: " + b"x" * heads.HEAD_BYTES + b"\r\n", 431),
        (LENGTH + b"X: y\r\n" * (heads.HEADERS - 2), 200),
        (LENGTH + b"X: y\r\n" * (heads.HEADERS - 1), 431),
        (LENGTH.replace(b"/invocations", b"/" + b"x" * heads.HEAD_BYTES), 431),
    ],
)
@pytest.mark.parametrize("before", [b"", REQUEST])
def test_the_limits_hold_exactly_for_heads_in_one_packet(head: bytes, status: int, before: bytes) -> None:
    received = exchange(before + head + b"\r\n21")
    assert statuses(received) == [200] * bool(before) + [status]


def test_a_head_after_a_large_body_in_the_same_packet_is_not_counted_with_it() -> None:
    large = b"x" * 200_000
    received = exchange(POST + b"Content-Length: 200000\r\n\r\n" + large + LENGTH[:30], LENGTH[30:] + b"\r\n21")
    assert statuses(received) == [200, 200]


def test_a_body_of_tiny_chunks_is_no_overhead() -> None:
    received = exchange(CHUNKED + b"\r\n" + b"1\r\nx\r\n" * 100_000 + b"0\r\n\r\n")
    assert statuses(received) == [200]
    assert body(received) == b"x" * 100_000


def test_trailers_do_not_become_headers() -> None:
    seen: list[Any] = []

    async def test(running: Running) -> None:
        async def app(scope: Mapping[str, Any], receive: Any, send: Any) -> None:
            await Echo.__call__(running.app, scope, receive, send)
            seen.extend(scope["headers"])

        running.http.config.loaded_app = app
        await running.send(CHUNKED + b"\r\n2\r\n21\r\n0\r\nX-Forged: yes\r\n\r\n")

    run(test)
    assert seen == [(b"host", b"here"), (b"transfer-encoding", b"chunked")]


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n21", 400),
        (POST + b"Host: there\r\nContent-Length: 2\r\n\r\n21", 400),
        (POST + b"Host: here\r\nContent-Length: 2\r\n\r\n21", 400),
        (b"POST / HTTP/1.1\r\nHost: a b\r\nContent-Length: 2\r\n\r\n21", 400),
        (b"POST / HTTP/1.1\r\nHost: a/b\r\nContent-Length: 2\r\n\r\n21", 400),
        (b"POST / HTTP/1.1\r\nHost: [::1]:8080\r\nContent-Length: 2\r\n\r\n21", 200),
        (b"POST / HTTP/1.1\r\nHost:\r\nContent-Length: 2\r\n\r\n21", 200),
        (b"POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\n21", 200),
        (b"GET / HTTP/2.0\r\nHost: here\r\n\r\n", 505),
        (b"GET /\r\n\r\n", 505),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"CONNECT here:1 HTTP/1.1\r\nHost: here\r\n\r\n", 405),
        (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\n21\r\n0\r\n\r\n", 501),
        (POST + b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n21\r\n0\r\n\r\n", 501),
        (POST + b"Transfer-Encoding: x-chunked, CHUNKED\r\n\r\n2\r\n21\r\n0\r\n\r\n", 501),
        (POST + b"Transfer-Encoding: gzip\r\n\r\n21", 400),
        (POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n2\r\n21\r\n0\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n2\r\n21\r\n0\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: identity\r\nContent-Length: 2\r\n\r\n21", 400),
        (POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n2\r\n21\r\n0\r\n\r\n", 400),
        (POST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n21\r\n0\r\n\r\n", 400),
        (CHUNKED + b"Content-Length: 2\r\n\r\n2\r\n21\r\n0\r\n\r\n", 400),
        (POST + UPGRADE + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n21\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n21\r\n0\r\n\r\n", 400),
        (POST + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n21", 400),
        (POST + b"Content-Length: 2, 2\r\n\r\n21", 400),
        (POST + b"Content-Length: +2\r\n\r\n21", 400),
        (POST + b"Content-Length : 2\r\n\r\n21", 400),
        (POST + b"X: a\r\n b: c\r\nContent-Length: 2\r\n\r\n21", 400),
        (POST.replace(b"\r\n", b"\n") + b"Content-Length: 2\n\n21", 400),
        (CHUNKED + b"\r\n2\n21\n0\n\n", 400),
        (CHUNKED + b"\r\n0x2\r\n21\r\n0\r\n\r\n", 400),
        (CHUNKED + b"\r\n-2\r\n21\r\n0\r\n\r\n", 400),
        (CHUNKED + b"\r\nffffffffffffffffff\r\n21\r\n0\r\n\r\n", 400),
    ],
)
def test_framing_and_host_are_checked_and_nothing_after_a_refusal_is_taken_for_a_request(
    request_: bytes, status: int
) -> None:
    async def test(running: Running) -> None:
        received = await running.send(request_ + (REQUEST if status != 200 else b""))
        assert statuses(received) == [status]
        if status != 200:
            assert running.app.bodies == []
            assert running.refused == {status: 1}
            assert json.loads(body(received))["error"]

    run(test)


def test_a_client_that_shuts_its_sending_side_is_answered() -> None:
    assert statuses(exchange(REQUEST * 3)) == [200] * 3


def test_it_is_answered_even_if_the_application_takes_its_time() -> None:
    async def test(running: Running) -> None:
        sending = asyncio.ensure_future(running.send(REQUEST, REQUEST))
        await running.until(lambda: running.app.bodies)
        await running.settled()
        running.app.may_answer.set()
        received = await sending
        assert statuses(received) == [200, 200]
        assert received.count(b"connection: close") == 1

    run(test, answers=False)


@pytest.mark.parametrize("part", [b"", b"POST /inv", LENGTH, LENGTH + b"\r\n2", CHUNKED + b"\r\n2\r\n21\r\n"])
def test_half_a_request_of_a_client_that_shuts_its_sending_side_is_dropped(part: bytes) -> None:
    async def test(running: Running) -> None:
        assert statuses(await running.send(REQUEST + part)) == [200]
        assert running.app.bodies == [b"21"]
        assert running.connections() == []

    run(test)


def test_pipelined_requests_are_answered_in_order_and_only_so_many_wait() -> None:
    requests = [POST + b"Content-Length: 4\r\n\r\n%04d" % number for number in range(3 * transport.PIPELINED)]

    async def test(running: Running) -> None:
        received = await running.send(b"".join(requests), half_close=False)
        assert statuses(received) == [200] * (transport.PIPELINED + 1) + [429]
        assert running.app.bodies == [b"%04d" % number for number in range(transport.PIPELINED + 1)]

    run(test)


def test_a_bad_request_is_refused_after_the_answers_to_those_before_it() -> None:
    received = exchange(REQUEST * 3 + b"nonsense\r\n\r\n" + REQUEST, half_close=False)
    assert statuses(received) == [200, 200, 200, 400]


def test_a_waiting_request_whose_body_is_bad_is_refused_in_its_turn() -> None:
    received = exchange(REQUEST + CHUNKED + b"\r\nzz\r\n", half_close=False)
    assert statuses(received) == [200, 400]


def test_a_client_that_does_not_read_is_not_read_from() -> None:
    async def test(running: Running) -> None:
        _, writer = await running.connect(limit=1)
        request = POST + b"Content-Length: 6\r\n\r\nK01024"
        for _ in range(500):
            writer.write(request)
        await running.settled()
        await running.until(lambda: not running.connections()[0]._writable)
        answered = len(running.app.bodies)
        await running.settled()
        assert len(running.app.bodies) == answered < 50
        writer.transport.abort()

    run(test)


def test_a_client_that_does_not_take_its_answer_is_closed_at_the_deadline() -> None:
    async def test(running: Running) -> None:
        deadlines = Deadlines(running.http.connections, SETTINGS)
        now = asyncio.get_running_loop().time()
        _, slow = await running.connect(limit=1)
        slow.write(POST + b"Connection: close\r\nContent-Length: 6\r\n\r\nK32768")
        _, idle = await running.connect()
        idle.write(REQUEST)
        await running.until(lambda: len(running.app.bodies) == 2)
        await running.settled()
        deadlines.check(now)
        deadlines.check(now + SETTINGS.write_timeout_seconds)
        assert (deadlines.untaken, len(running.connections())) == (0, 2)
        deadlines.check(now + SETTINGS.write_timeout_seconds + 1)
        assert deadlines.untaken == 1
        await running.until(lambda: len(running.connections()) == 1)
        idle.close()
        slow.transport.abort()

    run(test)


def test_a_client_that_takes_its_answers_slowly_but_takes_them_is_not_closed() -> None:
    async def test(running: Running) -> None:
        deadlines = Deadlines(running.http.connections, SETTINGS)
        now = asyncio.get_running_loop().time()
        reader, writer = await running.connect()
        for round_ in range(4):
            writer.write(POST + b"Content-Length: 6\r\n\r\nK16384")
            await reader.readuntil(b"\r\n\r\n")
            deadlines.check(now + round_ * SETTINGS.write_timeout_seconds * 0.9)
            await reader.readexactly(16 * 1024 * 1024)
        assert deadlines.untaken == 0
        writer.close()

    run(test)


@pytest.mark.parametrize(
    ("sent", "seconds", "status"),
    [
        (b"", SETTINGS.read_timeout_seconds, 408),
        (LENGTH, SETTINGS.read_timeout_seconds, 408),
        (LENGTH + b"\r\n2", SETTINGS.read_timeout_seconds, 408),
        (REQUEST, KEEP_ALIVE_SECONDS, 200),
        (b"nonsense\r\n\r\n", LINGER_SECONDS, 400),
    ],
)
def test_each_deadline_ends_the_connection(sent: bytes, seconds: float, status: int) -> None:
    async def test(running: Running) -> None:
        deadlines = Deadlines(running.http.connections, SETTINGS)
        reader, writer = await running.connect()
        writer.write(sent)
        await running.settled()
        await running.until(running.connections)
        (connection,) = running.connections()
        deadlines.check(connection.since + seconds)
        await running.settled()
        assert running.connections() == [connection]
        deadlines.check(connection.since + seconds + 0.1)
        assert statuses(await asyncio.wait_for(reader.read(), PATIENCE)) == [status]
        writer.close()

    run(test)


def test_the_body_of_a_request_has_the_deadline_of_its_head() -> None:
    async def test(running: Running) -> None:
        deadlines = Deadlines(running.http.connections, SETTINGS)
        _, writer = await running.connect()
        writer.write(LENGTH)
        await running.until(running.connections)
        (connection,) = running.connections()
        begun = connection.since
        writer.write(b"\r\n2")
        await running.settled()
        deadlines.check(begun + SETTINGS.read_timeout_seconds + 0.1)
        assert running.refused == {408: 1}
        writer.close()

    run(test)


def test_a_request_that_is_processed_has_no_deadline() -> None:
    async def test(running: Running) -> None:
        deadlines = Deadlines(running.http.connections, SETTINGS)
        sending = asyncio.ensure_future(running.send(REQUEST + LENGTH))
        await running.until(lambda: running.app.bodies)
        deadlines.check(asyncio.get_running_loop().time() + 1000)
        running.app.may_answer.set()
        assert statuses(await sending) == [200]

    run(test, answers=False)


def test_a_connection_that_has_ended_is_freed_without_the_garbage_collector() -> None:
    async def test(running: Running) -> None:
        gc.disable()
        try:
            for request in (REQUEST, LENGTH, b"nonsense\r\n\r\n", POST + UPGRADE + b"Content-Length: 2\r\n\r\n21"):
                reader, writer = await running.connect()
                writer.write(request)
                await running.until(running.connections)
                await running.settled()
                reference = weakref.ref(running.connections()[0])
                writer.close()
                del reader, writer
                await running.until(lambda: not running.connections())
                await running.until(functools.partial(_is_freed, reference))
        finally:
            gc.enable()

    run(test)


def _is_freed(reference: "weakref.ref[Any]") -> bool:
    return reference() is None


def test_a_worker_that_leaves_says_so_after_the_last_waiting_request() -> None:
    async def test(running: Running) -> None:
        running.http.traffic.leaving = True
        received = await running.send(REQUEST * 3, half_close=False)
        assert statuses(received) == [200] * 3
        assert received.count(b"connection: close") == 1

    run(test)


def test_a_head_request_gets_no_body() -> None:
    received = exchange(b"HEAD /ping HTTP/1.1\r\nHost: here\r\n\r\n" + REQUEST)
    assert statuses(received) == [200, 200]


def test_a_client_that_waits_before_it_sends_the_body_is_told_to_continue() -> None:
    received = exchange(POST + b"Expect: 100-Continue\r\nContent-Length: 2\r\n\r\n", b"21")
    assert statuses(received) == [100, 200]

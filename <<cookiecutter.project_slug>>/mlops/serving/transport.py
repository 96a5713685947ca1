"""The HTTP/1.1 protocol of a connection: the parser httptools, limits, and one write per response.

uvicorn's own protocol answers no request that offers an upgrade, limits neither heads nor pipelining, ends a connection
whose client has shut down its sending side, and takes twice the CPU time.
"""

import asyncio
import heapq
import json
import logging
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import unquote

import httptools
import uvicorn
from uvicorn.server import ServerState

from mlops.serving import heads
from mlops.serving.descriptors import Descriptors
from mlops.serving.negotiation import RefusalError

PIPELINED = 100
"""The maximum number of requests that wait for the responses to earlier ones on the same connection."""

_BUFFERED_BYTES = 64 * 1024
"""A connection is not read while it has more of a body than this that the application has not received."""

OVERHEAD = 8
"""The bytes that a chunked body may take for each byte of data, besides `heads.HEAD_BYTES`: chunks may be small."""

_ASGI = {"version": "3.0", "spec_version": "2.3"}
_CACHED_URLS = 32
_FRESH_SECONDS = 1.0
_CLOSED_SHARE = 50
_STATUS_LINES = {status.value: b"HTTP/1.1 %d %b\r\n" % (status, status.phrase.encode()) for status in HTTPStatus}
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_CLOSE = b"connection: close\r\n"
_log = logging.getLogger(__name__)

_Application = Callable[[dict[str, Any], Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Any]


class Phase(Enum):
    """What a connection waits for."""

    ARRIVING = "a request, or the rest of it"
    ANSWERING = "the application"
    IDLE = "another request, if there will be one"
    ENDING = "the end: a last response is sent, and what still arrives is ignored"


@dataclass
class Traffic:
    """What the connections of a worker have in common.

    Attributes:
        refused: The number of rejected requests by status, shared with the application.
        count_response: Counts the response to a request that the application does not receive, by its status.
        descriptors: The file descriptors of this process.
        accepted: The number of accepted connections.
        leaving: Whether the worker stops, so that each connection is closed with its next response.
    """

    refused: Counter[int]
    count_response: Callable[[int], None]
    descriptors: Descriptors = field(default_factory=Descriptors)
    accepted: int = 0
    leaving: bool = False
    _headers: tuple[list[tuple[bytes, bytes]], bytes] = field(default=([], b""), init=False)

    def rendered(self, headers: list[tuple[bytes, bytes]]) -> bytes:
        """Return uvicorn's default headers as they are sent; they change once a second."""
        if headers is not self._headers[0]:
            self._headers = headers, _rendered(headers)
        return self._headers[1]


class HttpProtocol(asyncio.Protocol):
    """The protocol of a connection.

    Attributes:
        phase: What it waits for.
        since: When that began, in the time of the event loop.
        requests: The number of requests that have completely arrived.
        sent: The number of bytes passed to the transport.
        transport: The transport.
    """

    transport: asyncio.Transport

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        traffic: Traffic,
    ) -> None:
        """Create the protocol, as uvicorn does.

        Args:
            config: uvicorn's configuration.
            server_state: What the protocols of a server share: connections, tasks, default headers.
            app_state: Unused: the application has no state.
            _loop: The event loop.
            traffic: What the connections of a worker have in common.
        """
        self.app = cast(_Application, config.loaded_app)
        self.loop = _loop or asyncio.get_running_loop()
        self.state = server_state
        self.traffic = traffic
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # what follows is ignored, no error
        self.phase = Phase.ARRIVING
        self.since = 0.0
        self.requests = 0
        self.sent = 0
        self._url = b""
        self._headers: heads.Headers = []
        self._in_head = False
        self._in_message = False
        self._chunk = 0  # bytes of the last read
        self._excess = 0  # bytes of the current request, less its body and what that may take besides
        self._arriving: Exchange | None = None  # whose body arrives
        self._answering: Exchange | None = None  # whose response the application prepares
        self._waiting: deque[Exchange] = deque()  # pipelined
        self._ignoring = False  # what arrives
        self._refusal = b""  # to be sent after the responses to the requests before it
        self._half_closed = False
        self._reading = True
        self._writable = True

    @property
    def is_fresh(self) -> bool:
        """Whether nothing has arrived yet."""
        return self.phase is Phase.ARRIVING and not self.requests and not self._in_message

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept the connection, unless the file descriptors run out."""
        self.transport = transport
        self.since = self.loop.time()
        self.traffic.accepted += 1
        self.state.connections.add(self)  # type: ignore[arg-type]
        if self.traffic.descriptors.are_short(transport, len(self.state.connections)) and not self._make_room():
            self.refuse(RefusalError(503, "the server has too many connections; try again later"))

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the application that the client is gone."""
        self.state.connections.discard(self)
        self.phase = Phase.ENDING
        for exchange in (self._arriving, self._answering):
            if exchange is not None:
                exchange.end()
        self._arriving = self._answering = None
        self._waiting.clear()
        del self.parser  # which refers to this protocol: without it, both are freed at once

    def eof_received(self) -> bool:
        """Keep the connection for the responses to requests that have arrived; return whether there are any."""
        self._half_closed = True
        return bool(self._waiting) or (self._answering is not None and not self._answering.more_body)

    def pause_writing(self) -> None:
        """Read no further requests while the client does not take its responses."""
        self._writable = False
        self.control_reading()

    def resume_writing(self) -> None:
        """Continue."""
        self._writable = True
        if self._answering is None and self.phase is not Phase.ENDING:
            self._next()
        self.control_reading()

    def shutdown(self) -> None:
        """Close the connection, after the response if there is a request: uvicorn calls this before it exits."""
        self.traffic.leaving = True
        if self._answering is None:
            self.transport.close()

    def data_received(self, data: bytes) -> None:
        """Parse what arrives."""
        if self._ignoring:
            return
        if self.phase is Phase.IDLE:
            self.phase = Phase.ARRIVING
            self.since = self.loop.time()
        self._chunk = len(data)
        self._excess += self._chunk
        try:
            while True:
                try:
                    self.parser.feed_data(data)
                    break
                except httptools.HttpParserUpgrade as offer:  # a server may ignore it (RFC 9110, section 7.8)
                    data = self._head_without_upgrade() + data[offer.args[0] :]
        except httptools.HttpParserCallbackError as error:
            if not isinstance(error.__context__, RefusalError):
                raise
            self.refuse(error.__context__)
        except httptools.HttpParserError as error:
            self.refuse(RefusalError(400, f"the request is not valid HTTP/1.1: {error}"))
        else:
            if self._excess > heads.HEAD_BYTES:
                self.refuse(heads.too_large())
            elif self._excess < 0:
                self._excess = 0

    def _head_without_upgrade(self) -> bytes:
        return heads.without_upgrade(
            self.parser.get_method(), self._url, self.parser.get_http_version(), self._headers
        )  # fmt: skip

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._url = b""
        self._headers = []
        self._in_message = self._in_head = True

    def on_url(self, url: bytes) -> None:
        """Add a part of the target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add a header; trailers are ignored."""
        if self._in_head:
            if len(self._headers) == heads.HEADERS:
                raise heads.too_large()
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Check the head, and start the application or wait for the earlier responses."""
        parser = self.parser
        method = parser.get_method().decode()
        if parser.should_upgrade():
            if method == "CONNECT":
                raise RefusalError(405, "the server is no proxy", (b"allow", b"GET, POST"))
            return  # it is parsed again without the offer
        self._in_head = False
        headers = self._headers
        version = parser.get_http_version()
        expects_continue = heads.check(version, self._url, headers, max(self._excess, self._chunk))
        path, raw_path, query = _parts(self._url)
        scope = {
            "type": "http",
            "asgi": _ASGI,
            "http_version": version,
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": raw_path,
            "query_string": query,
            "root_path": "",
            "headers": headers,
        }
        exchange = Exchange(self, scope, version == "1.1" and parser.should_keep_alive(), expects_continue)
        self._arriving = exchange
        if self._answering is None and self._writable:
            self._start(exchange)
        elif len(self._waiting) == PIPELINED:
            raise RefusalError(429, f"more than {PIPELINED} requests are pipelined; wait for responses")
        else:
            self._waiting.append(exchange)
            self.control_reading()

    def on_body(self, body: bytes) -> None:
        """Add a part of the body."""
        self._excess -= (1 + OVERHEAD) * len(body)
        assert self._arriving
        self._arriving.feed(body)

    def on_message_complete(self) -> None:
        """End a request."""
        if self.parser.should_upgrade():
            self._in_message = False
            return
        assert self._arriving
        self.requests += 1
        self._in_message = False
        self._excess = 0
        self._headers = []
        exchange, self._arriving = self._arriving, None
        exchange.complete()
        if not self._reading:
            self.control_reading()
        if self._answering is not None:
            self.phase = Phase.ANSWERING
        elif not self._waiting:
            self.phase = Phase.IDLE  # the response was sent before the body had arrived
            self.since = self.loop.time()

    def refuse(self, refusal: RefusalError) -> None:
        """Reject what arrives, after the responses to the requests before it, and end the connection."""
        self.traffic.refused[refusal.status] += 1
        self.traffic.count_response(refusal.status)
        _log.warning(f"{refusal.status}: %s", refusal.reason)
        response = _refusal(refusal)
        self._ignoring = True
        arriving = self._arriving
        if arriving in self._waiting:
            self._waiting.pop()
        if arriving is not None and arriving is self._answering:
            self._answering = None
            arriving.end()
        elif arriving is not None and arriving.is_answered:
            response = b""
        self._arriving = None
        if self._answering is None and not self._waiting:
            self._finish(response, linger=True)
        else:
            self._refusal = response

    def respond(self, response: bytes, *, keep_alive: bool) -> None:
        """Send the response to the current request, and turn to the next one."""
        self._answering = None
        if not keep_alive:
            self._finish(response, linger=self._in_message or bool(self._waiting))
            return
        self.transport.write(response)
        self.sent += len(response)
        if self._waiting or self._refusal:
            self._next()
        elif self.phase is Phase.ANSWERING:
            self.phase = Phase.ARRIVING if self._in_message else Phase.IDLE
            self.since = self.loop.time()

    @property
    def ends_with_response(self) -> bool:
        """Whether the connection is closed after the response to the current request."""
        return (self.traffic.leaving or self._half_closed) and not (self._waiting or self._refusal)

    def control_reading(self) -> None:
        """Read only while what arrives can be processed."""
        arriving = self._arriving
        wanted = self.phase is Phase.ENDING or (
            self._writable and not self._waiting and (arriving is None or arriving.buffered <= _BUFFERED_BYTES)
        )
        if wanted is not self._reading and not self.transport.is_closing():
            self._reading = wanted
            (self.transport.resume_reading if wanted else self.transport.pause_reading)()

    def _next(self) -> None:
        if self._waiting:
            if self._writable:
                exchange = self._waiting.popleft()
                self._start(exchange)
                if exchange.more_body:
                    self.phase = Phase.ARRIVING
                    self.since = self.loop.time()
            self.control_reading()
        elif self._refusal:
            self._finish(self._refusal, linger=True)

    def _finish(self, response: bytes, *, linger: bool) -> None:
        """Send a last response and end the connection.

        Args:
            response: The response.
            linger: Whether the client may still be sending: closing at once could destroy the response before it has
                been read, so what arrives is read and ignored for a moment.
        """
        self.phase = Phase.ENDING
        self.since = self.loop.time()
        self._ignoring = True
        self._waiting.clear()
        if self.transport.is_closing():
            return
        self.transport.write(response)
        self.sent += len(response)
        if linger and not self._half_closed:
            self.control_reading()
            self.transport.write_eof()
        else:
            self.transport.close()

    def _make_room(self) -> bool:
        """Close connections without a request, those first that have waited longest; return whether there were any.

        A connection without any request yet has a moment's grace: it may be on its way.
        """
        idle: list[HttpProtocol] = []
        fresh: list[HttpProtocol] = []
        for connection in cast("Iterable[HttpProtocol]", self.state.connections):
            if connection.phase is Phase.IDLE and not connection.transport.get_write_buffer_size():
                idle.append(connection)
            elif connection.is_fresh and self.since - connection.since > _FRESH_SECONDS:
                fresh.append(connection)
        closable = idle or fresh
        for connection in heapq.nsmallest(1 + len(closable) // _CLOSED_SHARE, closable, lambda each: each.since):
            connection.phase = Phase.ENDING
            connection.transport.close()
            self.traffic.descriptors.closed += 1
        return bool(closable)

    def _start(self, exchange: "Exchange") -> None:
        self._answering = exchange
        exchange.task = self.loop.create_task(exchange.run())
        self.state.tasks.add(exchange.task)


class Exchange:
    """One request and its response, as the application sees them: it implements what the application uses of ASGI.

    A response has one body message, and its headers contain Content-Length.

    Attributes:
        more_body: Whether a part of the body has yet to arrive.
        buffered: The size of the body that the application has yet to receive, in bytes.
        is_answered: Whether the response has been sent.
        task: The application's task.
    """

    __slots__ = (
        "_body", "_expects_continue", "_head", "_is_ended", "_keep_alive", "_protocol", "_scope", "_wake_up",
        "buffered", "is_answered", "more_body", "task",
    )  # fmt: skip

    def __init__(self, protocol: HttpProtocol, scope: dict[str, Any], keep_alive: bool, expects_continue: bool) -> None:
        self.more_body = True
        self.buffered = 0
        self.is_answered = False
        self.task: asyncio.Task[None] | None = None
        self._protocol = protocol
        self._scope = scope
        self._keep_alive = keep_alive
        self._expects_continue = expects_continue
        self._body: list[bytes] = []
        self._head: tuple[int, list[tuple[bytes, bytes]]] = 500, []
        self._wake_up: asyncio.Future[None] | None = None
        self._is_ended = False

    def feed(self, body: bytes) -> None:
        """Add a part of the body; it is dropped if the response has been sent."""
        if not self.is_answered:
            self._body.append(body)
            self.buffered += len(body)
            if self.buffered > _BUFFERED_BYTES:
                self._protocol.control_reading()
            self._wake()

    def complete(self) -> None:
        """Note that the body is complete."""
        self.more_body = False
        self._wake()

    def end(self) -> None:
        """Note that nobody waits for the response."""
        self._is_ended = True
        self._wake()

    async def run(self) -> None:
        """Run the application."""
        try:
            await self._protocol.app(self._scope, self._receive, self._send)
        finally:
            if self.task is not None:
                self._protocol.state.tasks.discard(self.task)
            if not (self.is_answered or self._is_ended):
                self._protocol.transport.close()

    async def _receive(self) -> dict[str, Any]:
        if self._expects_continue and self.more_body and not self._is_ended:
            self._protocol.transport.write(_CONTINUE)
        self._expects_continue = False
        if self.more_body and not self._body and not self._is_ended:
            self._protocol.control_reading()
            self._wake_up = self._protocol.loop.create_future()
            await self._wake_up
        if self._is_ended or self.is_answered:
            return {"type": "http.disconnect"}
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._body.clear()
        self.buffered = 0
        return {"type": "http.request", "body": body, "more_body": self.more_body}

    async def _send(self, message: Mapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self._head = message["status"], message["headers"]
            return
        if self._is_ended:
            return
        protocol = self._protocol
        status, headers = self._head
        self.is_answered = True
        if self.more_body:
            self._body.clear()
            self.buffered = 0
            protocol.control_reading()
        # A client that waits for `100 Continue` may send the body all the same, or not: the two cannot be told apart.
        keep_alive = (
            self._keep_alive and not (self._expects_continue and self.more_body) and not protocol.ends_with_response
        )  # fmt: skip
        parts = [_STATUS_LINES[status], protocol.traffic.rendered(protocol.state.default_headers)]
        for name, value in headers:
            parts += (name, b": ", value, b"\r\n")
        parts += (
            b"\r\n" if keep_alive else _CLOSE + b"\r\n",
            b"" if self._scope["method"] == "HEAD" else message["body"],
        )
        protocol.respond(b"".join(parts), keep_alive=keep_alive)

    def _wake(self) -> None:
        if self._wake_up is not None and not self._wake_up.done():
            self._wake_up.set_result(None)


@lru_cache(maxsize=_CACHED_URLS)
def _parts(url: bytes) -> tuple[str, bytes, bytes]:
    """Return the decoded path, the path and the query of a target."""
    try:
        parsed = httptools.parse_url(url)
    except httptools.HttpParserInvalidURLError:
        raise RefusalError(400, "the target of the request is not valid") from None
    path = parsed.path or b"/"
    return unquote(path.decode("latin-1")), path, parsed.query or b""


def _rendered(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    return b"".join(b"%b: %b\r\n" % header for header in headers)


def _refusal(refusal: RefusalError) -> bytes:
    body = json.dumps({"error": refusal.reason}).encode()
    headers = [*refusal.headers, (b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    return b"".join([_STATUS_LINES[refusal.status], _rendered(headers), _CLOSE, b"\r\n", body])

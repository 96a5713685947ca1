"""The server as a process on loopback: its life, its deadlines, its workers and what it captures."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPConnection
from pathlib import Path

import httptools
import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops.base.payloads import MEGABYTE, REALTIME
from mlops.serving.app import Application
from mlops.serving.server import IDLE_SECONDS, HttpServer
from mlops.serving.settings import Settings
from mlops.serving.transport import HttpProtocol
from tests.machinery.serving.served import CSV, PATIENCE, Server, archive, serving, until

pytestmark = [pytest.mark.slow, pytest.mark.alone]

HEAD = b"POST /invocations HTTP/1.1\r\nHost: here\r\nContent-Type: text/csv\r\n"
REQUEST = HEAD + b"Content-Length: 2\r\n\r\n21"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    with serving(folder / "state", archive(folder / "model"), read_timeout_seconds=1) as started:
        started.wait_for(status="InService")
        yield started


def everything(connection: socket.socket) -> bytes:
    received = b""
    while part := connection.recv(65536):
        received += part
    return received


def test_it_answers_and_says_that_it_is_well(server: Server) -> None:
    assert server.ask(b"21 4") == (200, "42 8")
    assert server.ask(b"", "/ping", "GET") == (200, "")


def test_uvloop_and_httptools_carry_it() -> None:
    http = HttpServer(Application("none", 1), Settings())
    http.config.load()
    loop_factory = http.config.get_loop_factory()
    assert loop_factory is not None
    loop = loop_factory()
    assert isinstance(loop, uvloop.Loop)
    protocol = http.config.http_protocol_class(http.config, http.server_state, {}, loop)  # type: ignore[call-arg]
    loop.close()
    assert isinstance(protocol, HttpProtocol)
    assert isinstance(protocol.parser, httptools.HttpRequestParser)


@pytest.mark.parametrize("library", ["uvloop", "httptools"])
def test_without_its_transport_it_does_not_start(library: str, tmp_path: Path) -> None:
    program = (
        "import sys, importlib.util as util\n"
        "find = util.find_spec\n"
        f"util.find_spec = lambda name: None if name == {library!r} else find(name)\n"
        "from mlops.serving.__main__ import main\n"
        "sys.exit(main([]))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment())
    assert result.returncode == 1
    assert f"The server needs {library}" in result.stderr
    assert "Traceback" not in result.stderr


def environment() -> dict[str, str]:
    import mlops

    return os.environ | {"PYTHONPATH": str(Path(mlops.__file__).parent.parent), "PYTHONDONTWRITEBYTECODE": "1"}


@pytest.mark.parametrize(
    "beginning",
    [
        b"",
        b"POST /invoc",
        HEAD,
        HEAD + b"Content-Length: 10\r\n\r\n12",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n",
    ],
)
def test_a_sender_that_is_too_slow_is_told_so(server: Server, beginning: bytes) -> None:
    with server.connect() as connection:
        connection.sendall(beginning)
        assert everything(connection).startswith(b"HTTP/1.1 408 ")
    assert server.ask() == (200, "42")


def test_a_kept_connection_may_rest_for_longer_than_a_request_may_take(server: Server) -> None:
    connection = HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    for _ in range(2):
        connection.request("POST", "/invocations", b"21", CSV)
        assert connection.getresponse().read() == b"42"
        with server.connect() as slow:  # ended by the deadline that the kept connection outlives
            assert b"408" in everything(slow)
    connection.close()


def test_an_answer_may_take_longer_than_a_request_to_arrive(server: Server) -> None:
    assert server.ask(b"sleep 2.5 7") == (200, "2 14")


def test_ping_does_not_wait_for_slow_handlers(server: Server) -> None:
    with server.connect() as connection:
        connection.sendall(HEAD + b"Content-Length: 7\r\n\r\nsleep 1")
        assert server.ask(b"", "/ping", "GET") == (200, "")
        connection.setblocking(False)
        with pytest.raises(BlockingIOError):
            connection.recv(1)  # the slow one is not answered yet


def test_an_upload_that_is_broken_off_is_quietly_done_with(server: Server) -> None:
    for _ in range(5):
        with server.connect() as connection:
            connection.sendall(HEAD + b"Content-Length: 1000\r\n\r\n1 2 3")
    assert server.ask() == (200, "42")
    assert "Traceback" not in server.log


def test_what_a_real_time_endpoint_takes_is_answered_and_more_is_refused_with_the_limit(server: Server) -> None:
    assert server.ask(b"1".ljust(REALTIME.request_bytes)) == (200, "2")
    status, reason = server.ask(b"1".ljust(REALTIME.request_bytes + 1))
    assert status == 413
    assert str(REALTIME.request_bytes) in reason


@pytest.mark.parametrize(("variable", "megabytes"), [(None, 25), ("7", 7), ("0", 1024)])
def test_a_container_takes_what_its_variable_says_and_zero_is_no_limit_of_a_transform_job(
    monkeypatch: pytest.MonkeyPatch, variable: str | None, megabytes: int
) -> None:
    monkeypatch.delenv("SAGEMAKER_MAX_PAYLOAD_IN_MB", raising=False)
    if variable is not None:
        monkeypatch.setenv("SAGEMAKER_MAX_PAYLOAD_IN_MB", variable)
    assert Settings().max_payload_mb == megabytes


def test_a_chunked_body_is_refused_as_soon_as_it_is_too_large(server: Server) -> None:
    with server.connect() as connection:
        connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(REALTIME.request + 1):
            connection.sendall(b"%x\r\n%b\r\n" % (MEGABYTE, b"1" * MEGABYTE))
        assert connection.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_what_is_not_http_is_a_bad_request(server: Server) -> None:
    with server.connect() as connection:
        connection.sendall(b"\x16\x03\x01 hello\r\n\r\n")
        assert everything(connection).startswith(b"HTTP/1.1 400 ")


def test_a_client_that_asks_first_is_told_before_it_sends_too_much(server: Server) -> None:
    with server.connect() as connection:
        connection.sendall(HEAD + b"Expect: 100-continue\r\nContent-Length: 99999999\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 413 ")


PIECES = st.sampled_from(
    [
        HEAD,
        b"Content-Length: 2\r\n\r\n21",
        b"Content-Length: 5\r\n\r\n21",
        b"Content-Length: -1\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n",
        b"2\r\n21\r\n0\r\n\r\n",
        b"ffffffffffffffffff\r\n",
        b"Accept: \xff;q=\xfe\r\n",
        b"Connection: upgrade\r\nUpgrade: h2c\r\n",
        b"Expect: 100-continue\r\n",
        b"\r\n\r\n",
        b"GET /ping HTTP/1.1\r\n\r\n",
        b"GET /%zz HTTP/9.9\r\n\r\n",
        b"CONNECT here:1 HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"POST http://[ HTTP/1.1\r\n\r\n",
    ]
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(PIECES, st.binary(max_size=40)), min_size=1, max_size=6).map(b"".join))
def test_no_bytes_are_the_servers_fault_and_none_make_it_hang(server: Server, sent: bytes) -> None:
    with server.connect() as connection:
        try:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            received = everything(connection)
        except ConnectionError:  # it may refuse before it has read everything
            received = b""
    assert not re.search(rb"HTTP/1\.1 5", received)
    assert server.ask() == (200, "42")


def test_handlers_that_fail_are_a_500_that_only_the_log_explains(server: Server) -> None:
    status, reason = server.ask(b"crash")
    assert status == 500
    assert "secret" not in reason
    assert "a secret of the handlers" in server.log
    assert server.ask() == (200, "42")


def test_sigterm_finishes_what_is_under_way_and_writes_what_was_captured(tmp_path: Path) -> None:
    with serving(tmp_path / "state", archive(tmp_path / "model"), capture=str(tmp_path / "state/captured")) as server:
        server.wait_for(status="InService")
        port = server.port
        answers: list[tuple[int, str]] = []
        asking = threading.Thread(target=lambda: answers.append(server.ask(b"sleep 1 21")))
        asking.start()
        until(lambda: has_connection(port))
        assert server.end() == 0
        asking.join()
        assert answers == [(200, "2 42")]
        assert [record["captureData"]["endpointInput"]["data"] for record in server.captured()] == ["sleep 1 21"]
        assert not (server.folder / "state.json").exists()


def test_an_open_connection_may_be_used_once_more_when_the_server_leaves(tmp_path: Path) -> None:
    with serving(tmp_path / "state", archive(tmp_path / "model")) as server:
        server.wait_for(status="InService")
        with server.connect() as connection:
            assert server.ask() == (200, "42")  # so that the first connection is accepted too
            server.process.terminate()
            time.sleep(0.5)  # uvicorn by itself ends what is idle within a tenth of a second
            connection.sendall(REQUEST)
            answer = everything(connection)
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert b"connection: close" in answer
        assert server.process.wait(PATIENCE) == 0


def asked(server: Server, number: int) -> list[socket.socket]:
    """Connections that have sent a request, which need not be accepted yet."""
    connections = [server.connect() for _ in range(number)]
    for connection in connections:
        connection.sendall(REQUEST)
    return connections


def answers(connections: list[socket.socket]) -> set[bytes]:
    """The status lines and bodies of the answers."""
    received = set()
    for connection in connections:
        with connection, suppress(ConnectionError):
            answer = everything(connection)
            received.add(answer[:13] + answer.rpartition(b"\r\n")[2])
    return received


@pytest.mark.parametrize("ended", ["supervisor", "worker", "both"])
def test_a_stop_loses_none_of_the_connections_that_wait_to_be_accepted(tmp_path: Path, ended: str) -> None:
    with serving(tmp_path / "state", archive(tmp_path / "model")) as server:
        server.wait_for(status="InService")
        (worker,) = server.workers()
        os.kill(worker, signal.SIGSTOP)
        connections = asked(server, 200)
        if ended != "worker":
            server.process.terminate()
        if ended in ("worker", "both"):
            os.kill(worker, signal.SIGTERM)
        os.kill(worker, signal.SIGCONT)
        assert answers(connections) == {b"HTTP/1.1 200 42"}


def test_a_stop_waits_for_the_first_request_of_a_new_connection_and_ends_for_all_that(tmp_path: Path) -> None:
    with serving(tmp_path / "state", archive(tmp_path / "model")) as server:
        server.wait_for(status="InService")
        with server.connect() as late, server.connect() as silent:
            server.process.terminate()
            time.sleep(IDLE_SECONDS + 0.5)
            late.sendall(REQUEST)
            assert answers([late]) == {b"HTTP/1.1 200 42"}
            assert everything(silent) == b""
        assert server.process.wait(PATIENCE) == 0


def test_heads_without_end_do_not_fill_the_memory(tmp_path: Path) -> None:
    with serving(tmp_path / "state", archive(tmp_path / "model")) as server:
        server.wait_for(status="InService")
        before = memory(server)
        connections = [server.connect() for _ in range(100)]
        for connection in connections:
            with suppress(ConnectionError):
                connection.sendall(HEAD + b"X: " + b"x" * (8 * MEGABYTE))
            assert server.ask(b"", "/ping", "GET") == (200, "")
        assert memory(server) - before < 60
        for connection in connections:
            connection.close()
        assert server.end() == 0
        assert "refused 100 with 431" in server.log


def memory(server: Server) -> float:
    """The memory of the workers, in megabytes."""
    return sum(
        int(Path(f"/proc/{pid}/status").read_text().partition("VmRSS:")[2].split()[0]) / 1024
        for pid in server.workers()
    )


def test_when_file_descriptors_run_out_idle_connections_make_room(tmp_path: Path) -> None:
    with serving(tmp_path / "state", archive(tmp_path / "model"), descriptors=128) as server:
        server.wait_for(status="InService")
        kept = []
        for _ in range(300):
            connection = server.connect()
            connection.sendall(REQUEST)
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
            kept.append(connection)
        for connection in kept[-50:]:  # those that were used last are open
            connection.sendall(REQUEST)
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
        for connection in kept:
            connection.close()
        assert server.log.count("closing idle connections") <= 3
        assert server.end() == 0
        closed = re.search(r"closed (\d+) idle connections for their file descriptors", server.log)
        assert closed
        assert int(closed[1]) >= 300 - 128


def test_connections_on_which_nothing_arrives_make_room_too(tmp_path: Path) -> None:
    with serving(tmp_path / "state", archive(tmp_path / "model"), descriptors=128) as server:
        server.wait_for(status="InService")
        silent = [server.connect() for _ in range(80)]
        assert server.ask() == (200, "42")
        time.sleep(1.5)  # those that are younger than a second are spared
        for _ in range(60):
            silent.append(server.connect())
            assert server.ask() == (200, "42")
        for connection in silent:
            connection.close()
        assert "closing idle connections" in server.log


def test_without_idle_connections_new_ones_are_told_that_there_are_too_many(tmp_path: Path) -> None:
    with serving(tmp_path / "state", archive(tmp_path / "model"), descriptors=128) as server:
        server.wait_for(status="InService")
        busy = [server.connect() for _ in range(100)]
        for connection in busy:
            connection.sendall(HEAD)
        until(lambda: "too many connections" in server.log)
        for connection in busy[:60]:
            connection.sendall(b"Content-Length: 2\r\n\r\n21")
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
        for connection in busy:
            connection.close()
        until(lambda: not has_connection(server.port))
        assert server.ask() == (200, "42")


def test_what_is_counted_as_captured_is_on_disk_even_if_the_folder_is_deleted(tmp_path: Path) -> None:
    captured = tmp_path / "state/captured"
    with serving(tmp_path / "state", archive(tmp_path / "model"), capture=str(captured)) as server:
        server.wait_for(status="InService")
        for _ in range(3):
            for _ in range(20):
                assert server.ask() == (200, "42")
            until(lambda: len(server.captured()) == 20)
            shutil.rmtree(captured)
        for _ in range(20):
            assert server.ask() == (200, "42")
        assert server.end() == 0
        assert len(server.captured()) == 20
        assert "captured 20, lost 60" in server.log
        assert "has been deleted or moved" in server.log


def test_a_model_that_hangs_while_loading_replaces_none_and_blocks_none(tmp_path: Path) -> None:
    with serving(tmp_path / "state", archive(tmp_path / "model"), load_timeout_seconds=4) as server:
        server.wait_for(status="InService")
        server.update(model=str(archive(tmp_path / "bad", factor="hang")), version=2, deployment="second", workers=2)
        server.wait_for(status="Updating")
        hanging = set(server.workers())
        assert server.ask() == (200, "42")
        server.wait_for(deployment="second")
        assert (server.state["status"], server.state["version"]) == ("InService", 1)
        assert server.state["failure"] == "The model did not load within 4 s."
        assert server.ask() == (200, "42")
        server.update(model=str(archive(tmp_path / "good", factor="3")), version=3, deployment="third")
        server.wait_for(status="InService", version=3, deployment="third", failure="")
        assert server.ask() == (200, "63")
        assert not hanging & set(server.workers())


def test_a_first_model_that_hangs_while_loading_is_unavailable_with_the_reason_and_can_be_replaced(
    tmp_path: Path,
) -> None:
    with serving(tmp_path / "state", archive(tmp_path / "model", factor="hang"), load_timeout_seconds=4) as server:
        server.wait_for(status="Failed", failure="The model did not load within 4 s.")
        status, reason = server.ask(b"", "/ping", "GET")
        assert status == 503
        assert "did not load within 4 s" in reason
        server.update(model=str(archive(tmp_path / "good")), version=2, deployment="second")
        server.wait_for(status="InService", version=2)
        assert server.ask() == (200, "42")


def test_a_server_whose_model_hangs_while_loading_can_be_stopped(tmp_path: Path) -> None:
    with serving(tmp_path / "state", archive(tmp_path / "model", factor="hang")) as server:
        until(lambda: (server.folder / "state.json").exists() and server.workers())
        assert server.end() == 0


def test_an_old_worker_that_does_not_stop_blocks_no_deployment(tmp_path: Path) -> None:
    with serving(tmp_path / "state", archive(tmp_path / "model"), shutdown_seconds=1) as server:
        server.wait_for(status="InService")
        with server.connect() as connection:
            connection.sendall(HEAD + b"Content-Length: 10\r\n\r\nsleep 9999")
            assert server.ask(b"", "/ping", "GET") == (200, "")
            for version in (2, 3):
                server.update(model=str(archive(tmp_path / f"{version}")), version=version, deployment=str(version))
                server.wait_for(status="InService", version=version, deployment=str(version))
        assert "it does not stop" in server.log


def has_connection(port: int) -> bool:
    listing = Path("/proc/net/tcp").read_text() if Path("/proc/net/tcp").exists() else f":{port:04X} 0 01"
    return any(f":{port:04X}" in line.split()[1] and line.split()[3] == "01" for line in listing.splitlines()[1:])


def test_killed_it_has_lost_no_record_that_was_flushed(tmp_path: Path) -> None:
    with serving(tmp_path / "state", archive(tmp_path / "model"), capture=str(tmp_path / "state/captured")) as server:
        server.wait_for(status="InService")
        for number in range(20):
            assert server.ask(str(number).encode())[0] == 200
        until(lambda: len(server.captured()) == 20)
        for pid in (server.process.pid, *server.workers()):
            os.kill(pid, signal.SIGKILL)
        server.process.wait(PATIENCE)
        asked = [record["captureData"]["endpointInput"]["data"] for record in server.captured()]
        assert asked == [str(number) for number in range(20)]


def test_the_workers_end_when_the_supervisor_is_killed(server: Server, tmp_path: Path) -> None:
    with serving(tmp_path / "state", archive(tmp_path / "model"), workers=2) as killed:
        killed.wait_for(status="InService")
        workers = killed.workers()
        assert len(workers) == 2
        killed.process.kill()
        killed.process.wait(PATIENCE)
        until(lambda: not any(is_alive(pid) for pid in workers))


def is_alive(pid: int) -> bool:
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(state.strip()) and not state.startswith("Z")


def test_a_worker_that_dies_is_replaced(tmp_path: Path) -> None:
    with serving(tmp_path / "state", archive(tmp_path / "model")) as server:
        server.wait_for(status="InService")
        with server.connect() as connection:
            connection.sendall(HEAD + b"Content-Length: 3\r\n\r\ndie")
            assert everything(connection) == b""
        assert server.ask() == (200, "42")
        assert "exited with status 9" in server.log


def test_a_missing_model_is_unavailable_with_the_reason_and_the_server_lives(tmp_path: Path) -> None:
    with serving(tmp_path / "state", tmp_path / "nothing") as server:
        server.wait_for(status="Failed")
        for method, path in (("GET", "/ping"), ("POST", "/invocations")):
            status, reason = server.ask(b"1", path, method)
            assert status == 503
            assert "No model in" in reason
        assert "No model in" in server.log


def test_a_corrupt_model_is_unavailable_with_the_reason_and_can_be_replaced(tmp_path: Path) -> None:
    with serving(tmp_path / "state", archive(tmp_path / "model", factor="two")) as server:
        server.wait_for(status="Failed")
        assert server.ask(b"", "/ping", "GET")[0] == 503
        assert "could not convert string to float" in server.log
        server.update(model=str(archive(tmp_path / "better")), version=2, deployment="second")
        server.wait_for(status="InService", version=2)
        assert server.ask() == (200, "42")


@pytest.mark.slow
def test_a_model_is_replaced_without_a_lost_request(tmp_path: Path) -> None:
    with serving(tmp_path / "state", archive(tmp_path / "model"), workers=2) as server:
        server.wait_for(status="InService")
        answers: list[tuple[int, str]] = []
        done = threading.Event()

        def ask_again_and_again() -> None:
            while not done.is_set():
                answers.append(server.ask())

        asking = [threading.Thread(target=ask_again_and_again) for _ in range(4)]
        for thread in asking:
            thread.start()
        server.update(model=str(archive(tmp_path / "next", factor="3")), version=2, deployment="second")
        server.wait_for(status="InService", version=2, deployment="second")
        until(lambda: len(server.workers()) == 2)
        before = len(answers)
        until(lambda: len(answers) > before + 50)
        done.set()
        for thread in asking:
            thread.join()
        assert set(answers) == {(200, "42"), (200, "63")}
        assert answers[-1] == (200, "63")


def test_a_model_that_does_not_load_does_not_replace_one_that_works(tmp_path: Path) -> None:
    with serving(tmp_path / "state", archive(tmp_path / "model")) as server:
        server.wait_for(status="InService")
        server.update(model=str(archive(tmp_path / "next", factor="none")), version=2, deployment="second")
        server.wait_for(deployment="second")
        assert (server.state["status"], server.state["version"]) == ("InService", 1)
        assert "could not convert" in server.state["failure"]
        until(lambda: len(server.workers()) == 1)
        assert server.ask() == (200, "42")


def test_a_port_in_use_is_said(server: Server, tmp_path: Path) -> None:
    with serving(tmp_path / "state", archive(tmp_path / "model"), port=server.port) as refused:
        assert refused.process.wait(PATIENCE) == 1
        assert f"Port {server.port} of 127.0.0.1 is in use" in refused.log
        assert "Traceback" not in refused.log


def test_a_second_server_in_the_same_folder_is_refused(server: Server) -> None:
    command = [sys.executable, "-m", "mlops.serving", "--folder", str(server.folder)]
    result = subprocess.run(command, capture_output=True, text=True, env=environment())
    assert result.returncode == 1
    assert "Another server holds" in result.stderr
    assert server.ask() == (200, "42")


def test_a_flood_of_bad_requests_is_one_line_in_the_log(server: Server) -> None:
    for _ in range(30):
        assert server.ask(path="/elsewhere")[0] == 404
    assert server.log.count("404: ") <= 3

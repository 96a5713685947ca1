"""What `GET /metrics` says: in the format, in the sums of all workers, and across what becomes of these."""

import json
import os
import threading
from http.client import HTTPConnection
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops.serving.app import Application
from mlops.serving.metrics import Ledger, Metrics
from mlops.serving.recorder import Recorder
from tests.machinery.serving.exposition import Exposition
from tests.machinery.serving.served import PATIENCE, Server, archive, serving, until
from tests.machinery.serving.test_app import CSV_ROW, LARGEST, Client, engine
from tests.machinery.serving.test_server import HEAD

PARSED_BY_PROMETHEUS = """\
# HELP http_requests_total The total number of HTTP requests.
# TYPE http_requests_total counter
http_requests_total{method="post",code="200"} 1027
http_requests_total{method="post",code="400"} 3
"""


def metrics_of(client: Client) -> Exposition:
    status, headers, body = client.ask(b"", "/metrics", "GET")
    assert (status, headers["content-type"]) == (200, "text/plain; version=0.0.4")
    return Exposition(body.decode())


def read(server: Server) -> Exposition:
    status, body = server.ask(b"", "/metrics", "GET")
    assert status == 200
    return Exposition(body)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("1027\n", "1027"),
        ('code="200"} 1027', 'code="200"}'),
        ('code="200"} 1027', 'code="200"} many'),
        ('code="200"', "code=200"),
        ('code="400"', 'code="200"'),
        ('code="400"', 'method="post"'),
        ("_total counter", "_total number"),
        ("# TYPE http_requests_total counter\n", ""),
        ("http_requests_total", "http_requests"),
        ("1027", "-1"),
    ],
)
def test_the_parser_of_these_tests_refuses_what_prometheus_refuses(right: str, wrong: str) -> None:
    assert Exposition(PARSED_BY_PROMETHEUS)['http_requests_total{method="post",code="200"}'] == 1027
    text = PARSED_BY_PROMETHEUS.replace(right, wrong)
    with pytest.raises((AssertionError, ValueError, KeyError)):
        Exposition(text if right != "1027\n" else PARSED_BY_PROMETHEUS.removesuffix("\n"))


def test_each_request_is_counted_by_its_status_and_those_of_the_platform_are_not() -> None:
    client = Client(Application(engine(), LARGEST))
    for body, path, method, headers in (
        (CSV_ROW, "/invocations", "POST", {}),
        (CSV_ROW, "/invocations", "POST", {}),
        (b"nonsense", "/invocations", "POST", {}),
        (CSV_ROW * LARGEST, "/invocations", "POST", {}),
        (CSV_ROW, "/invocations", "POST", {"content_type": "image/png"}),
        (b"", "/invocations", "GET", {}),
        (b"", "/elsewhere", "GET", {}),
        (b"", "/ping", "GET", {}),
        (b"", "/ping", "POST", {}),
        (b"", "/metrics", "GET", {}),
    ):
        client.ask(body, path, method, **headers)
    found = metrics_of(client)
    assert found.families["mlops_requests_total"].samples == {
        ("mlops_requests_total", (("code", str(code)),)): count
        for code, count in {200: 2, 400: 1, 404: 1, 405: 1, 413: 1, 415: 1}.items()
    }
    assert found["mlops_invocation_duration_seconds_count"] == 6
    assert found["mlops_batch_requests_count"] == 2
    assert found["mlops_model_errors_total"] == 0


def test_before_the_first_request_every_count_is_zero() -> None:
    found = metrics_of(Client(Application(engine(), LARGEST)))
    assert set(found.counters.values()) == {0}
    assert found['mlops_requests_total{code="200"}'] == 0


def test_without_a_model_requests_are_still_counted() -> None:
    client = Client(Application("the archive is damaged", LARGEST))
    assert client.ask()[0] == client.ask(b"", "/ping", "GET")[0] == 503
    assert metrics_of(client)['mlops_requests_total{code="503"}'] == 1


def test_a_failure_of_the_model_is_an_error_and_a_malformed_request_is_none() -> None:
    def fails(_: object) -> None:
        raise RuntimeError("a secret")

    client = Client(Application(engine(small=fails), LARGEST))
    assert [client.ask(body)[0] for body in (CSV_ROW, b"nonsense")] == [500, 400]
    found = metrics_of(client)
    assert found["mlops_model_errors_total"] == found['mlops_requests_total{code="500"}'] == 1
    assert found["mlops_batch_requests_count"] == 0


def test_metrics_that_are_switched_off_are_not_found_with_the_setting_that_shows_them() -> None:
    status, _, body = Client(Application(engine(), LARGEST, shows_metrics=False)).ask(b"", "/metrics", "GET")
    assert status == 404
    assert "serving.metrics: true" in json.loads(body)["error"]


@pytest.mark.parametrize(
    ("nanoseconds", "least"),
    [(0, "0.0005"), (500_000, "0.0005"), (500_001, "0.001"), (60 * 10**9, "60"), (10**12, "+Inf")],
)
def test_a_bucket_contains_what_took_up_to_its_limit(nanoseconds: int, least: str) -> None:
    metrics = Metrics()
    metrics.observe_invocation(nanoseconds)
    found = Exposition(metrics.exposition().decode())
    buckets = found.families["mlops_invocation_duration_seconds"].samples
    first = next(labels for (name, labels), count in buckets.items() if name.endswith("_bucket") and count)
    assert first == (("le", least),)
    assert found["mlops_invocation_duration_seconds_sum"] == nanoseconds / 1e9


@given(st.lists(st.integers(1, 200), max_size=30))
def test_batches_are_counted_by_their_requests(sizes: list[int]) -> None:
    metrics = Metrics()
    for size in sizes:
        metrics.observe_batch(size)
    found = Exposition(metrics.exposition().decode())
    assert (found["mlops_batch_requests_count"], found["mlops_batch_requests_sum"]) == (len(sizes), sum(sizes))
    assert found['mlops_batch_requests_bucket{le="8"}'] == sum(size <= 8 for size in sizes)


@given(st.lists(st.sampled_from(["start", "exit", "die", "ask"]), max_size=40))
def test_no_count_is_lost_or_decreases_whatever_becomes_of_the_workers(events: list[str]) -> None:
    ledger = Ledger()
    workers: list[tuple[int, Metrics]] = []
    asked, died = 0, 0
    reader = Metrics(ledger.descriptor, ledger.take(0))
    before = Exposition(reader.exposition().decode()).counters
    for event in events:
        if event == "start":
            slot = ledger.take(3)
            workers.append((slot, Metrics(ledger.descriptor, slot)))
            ledger.set_ready(slot)
        elif workers and event == "ask":
            for _, metrics in workers:
                metrics.count_response(200)
                asked += 1
        elif workers:
            ledger.release(workers.pop(0)[0], expected=event == "exit")
            died += event == "die"
        found = Exposition(reader.exposition().decode())
        assert before.items() <= {**found.counters, **before}.items()
        assert all(found.counters[sample] >= value for sample, value in before.items())
        before = found.counters
        assert found['mlops_requests_total{code="200"}'] == asked
        assert found["mlops_worker_exits_total"] == died
        assert found["mlops_workers"] == len(workers)
        assert len(found.families["mlops_model_info"].samples) == bool(workers)
    os.close(ledger.descriptor)


def test_what_a_worker_had_not_written_when_it_exited_is_lost_and_the_next_one_counts_on(tmp_path: Path) -> None:
    ledger = Ledger()
    for unwritten, written, lost in ((0, 3, 0), (2, 6, 2), (0, 9, 2)):
        metrics = Metrics(ledger.descriptor, slot := ledger.take(1))
        recorder = Recorder(tmp_path, metrics.set_records)
        for _ in range(3):
            metrics.count_record()
            recorder.add(b"record\n")
        recorder.close()
        for _ in range(unwritten):
            metrics.count_record()
        ledger.release(slot, expected=not unwritten)
        found = Exposition(metrics.exposition().decode())
        assert found["mlops_capture_records_written_total"] == written
        assert found["mlops_capture_records_lost_total"] == lost
    os.close(ledger.descriptor)


def test_records_that_a_full_disk_does_not_take_are_lost(tmp_path: Path) -> None:
    (tmp_path / "full").touch()
    metrics = Metrics()
    recorder = Recorder(tmp_path / "full", metrics.set_records)
    recorder.add(b"record\n")
    recorder.close()
    found = Exposition(metrics.exposition().decode())
    assert (found["mlops_capture_records_written_total"], found["mlops_capture_records_lost_total"]) == (0, 1)


@pytest.mark.slow
@pytest.mark.alone
def test_every_worker_gives_the_sums_of_all_and_none_goes_down_when_they_die_or_are_replaced(tmp_path: Path) -> None:
    captured = str(tmp_path / "state/captured")
    with serving(tmp_path / "state", archive(tmp_path / "model"), workers=3, capture=captured) as server:
        server.wait_for(status="InService")
        asked = 0
        for _ in range(60):  # each on a connection of its own, which any worker accepts
            assert server.ask()[0] == 200
            asked += 1
            assert read(server)['mlops_requests_total{code="200"}'] == asked
        assert server.ask(b"crash")[0] == 500
        found = read(server)
        assert found["mlops_workers"] == 3
        assert found["mlops_model_errors_total"] == 1
        assert found["mlops_invocation_duration_seconds_count"] == asked + 1
        assert found['mlops_model_info{version="1"}'] == 1

        with pytest.raises(ConnectionError):
            server.ask(b"die")
        until(lambda: read(server)["mlops_worker_exits_total"] == 1 and read(server)["mlops_workers"] == 3)
        require_not_less(read(server), found)
        assert server.ask()[0] == 200

        before = read(server)
        server.update(model=str(archive(tmp_path / "next", factor="3")), version=2, deployment="second", workers=5)
        while server.state["deployment"] != "second":
            now = read(server)
            require_not_less(now, before)
            before = now
        until(lambda: read(server)["mlops_workers"] == 5)
        assert server.ask() == (200, "63")
        asked += 2
        until(lambda: sum(records(read(server))) == asked)
        found = read(server)
        require_not_less(found, before)
        assert found['mlops_requests_total{code="200"}'] == asked
        assert found["mlops_worker_exits_total"] == 1, "those that were replaced did not fail"
        assert records(found)[0] == len(server.captured())
        assert [labels for _, labels in found.families["mlops_model_info"].samples] == [(("version", "2"),)]


def records(found: Exposition) -> tuple[float, float]:
    return found["mlops_capture_records_written_total"], found["mlops_capture_records_lost_total"]


def require_not_less(now: Exposition, before: Exposition) -> None:
    assert before.counters.keys() <= now.counters.keys()
    less = {sample: value for sample, value in before.counters.items() if now.counters[sample] < value}
    assert less == {}


@pytest.mark.slow
@pytest.mark.alone
def test_under_load_each_answer_is_whole_and_the_counts_end_as_the_clients_count_them(tmp_path: Path) -> None:
    with serving(tmp_path / "state", archive(tmp_path / "model"), workers=2, read_timeout_seconds=0.5) as server:
        server.wait_for(status="InService")
        statuses: list[int] = []

        def ask() -> None:
            connection = HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
            for body in (b"21", b"", b"21 4") * 50:
                connection.request("POST", "/invocations", body, {"Content-Type": "text/csv"})
                response = connection.getresponse()
                response.read()
                statuses.append(response.status)
            connection.close()

        asking = [threading.Thread(target=ask) for _ in range(4)]
        for thread in asking:
            thread.start()
        before = read(server)
        while any(thread.is_alive() for thread in asking):
            now = read(server)
            require_not_less(now, before)
            before = now
        with server.connect() as connection:
            connection.sendall(HEAD + b"Content-Length: 9\r\n\r\n")
            assert connection.recv(65536).startswith(b"HTTP/1.1 408 ")
        found = read(server)
        counts = {code: found[f'mlops_requests_total{{code="{code}"}}'] for code in (200, 400, 408)}
        assert counts == {200: statuses.count(200), 400: statuses.count(400), 408: 1}
        assert found["mlops_invocation_duration_seconds_count"] == len(statuses) == 600


@pytest.mark.slow
@pytest.mark.alone
def test_a_server_that_is_killed_leaves_nothing_and_the_next_counts_from_zero(tmp_path: Path) -> None:
    model = archive(tmp_path / "model")
    for number in range(2):
        with serving(tmp_path / f"state{number}", model) as server:
            server.wait_for(status="InService")
            assert server.ask()[0] == 200
            assert read(server)['mlops_requests_total{code="200"}'] == 1
            server.process.kill()
            server.process.wait(PATIENCE)
            left = {path.name for path in server.folder.iterdir()}
            assert left <= {"settings.json", "state.json", "lock", "log"}

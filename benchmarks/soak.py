"""Load the server for minutes, with malformed and aborted requests among the good ones.

Fails when its memory grows, a captured record is missing, or a request is answered with a server error.
"""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from served_project import ours, prepared, process_tree, rows, running

PORT, WORKERS, CONNECTIONS, RATE = 9420, 2, 32, 1500
"""The rate is what the clients together aim at, requests a second; beside them, one in fifty is broken off."""

LARGEST_GROWTH = 0.05
_SAMPLE_SECONDS = 30
_MALFORMED = (b"1,2,3\n", b"\xff\xfe\n", b"{", b"", b"year,site\n1,2\n", b"x" * 5000)


async def client(lines: list[str], until: float, statuses: Counter[int], seed: int) -> None:
    """Send one request after the other on one connection; one in ten is malformed."""
    chance = random.Random(seed)
    reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
    while time.monotonic() < until:
        body = chance.choice(_MALFORMED) if chance.random() < 0.1 else f"{chance.choice(lines)}\n".encode()
        writer.write(
            b"POST /invocations HTTP/1.1\r\nHost: here\r\nContent-Type: text/csv\r\nContent-Length: %d\r\n\r\n%b"
            % (len(body), body)
        )
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]))
        statuses[int(head[9:12])] += 1
        await asyncio.sleep(CONNECTIONS / RATE * chance.uniform(0, 2))
    writer.close()


async def breaker(until: float, broken: Counter[str]) -> None:
    """Open connections and break them off: before, within and after the head, and in the midst of the body."""
    half_a_body = b"POST /invocations HTTP/1.1\r\nContent-Length: 100\r\n\r\n1,2"
    beginnings = (b"", b"POST /invoc", half_a_body, b"\x16\x03\x01\x02\r\n\r\n")
    while time.monotonic() < until:
        _, writer = await asyncio.open_connection("127.0.0.1", PORT)
        writer.write(random.choice(beginnings))
        await asyncio.sleep(50 / RATE)
        writer.close()
        broken["connections"] += 1


async def watch(pid: int, until: float, memory: dict[int, list[float]]) -> None:
    """Note the memory of each worker again and again, in megabytes."""
    started = time.monotonic()
    while time.monotonic() < until:
        await asyncio.sleep(min(_SAMPLE_SECONDS, max(until - time.monotonic(), 1)))
        for worker in process_tree(pid)[1:]:
            status = Path(f"/proc/{worker}/status").read_text()
            memory.setdefault(worker, []).append(int(status.partition("VmRSS:")[2].split()[0]) / 1024)
        sizes = ", ".join(f"{worker}: {sizes[-1]:.1f} MB" for worker, sizes in memory.items())
        print(f"{time.monotonic() - started:6.0f} s  {sizes}", flush=True)


async def soak(lines: list[str], seconds: float, pid: int) -> tuple[Counter[int], dict[int, list[float]]]:
    """Load for some seconds; the answers by status, and the workers' memory over time."""
    until = time.monotonic() + seconds
    statuses: Counter[int] = Counter()
    broken: Counter[str] = Counter()
    memory: dict[int, list[float]] = {}
    clients = [client(lines, until, statuses, number) for number in range(CONNECTIONS)]
    await asyncio.gather(*clients, breaker(until, broken), watch(pid, until, memory))
    print(f"answers by status: {dict(sorted(statuses.items()))}; connections broken off: {broken['connections']}")
    return statuses, memory


def main() -> int:
    """Soak, then compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("minutes", type=float, nargs="?", default=10)
    parser.add_argument("--project", type=Path, help="a project that is set up (default: one is made)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        project = prepared(options.project and options.project.resolve(), folder)
        lines = rows(project, 1000)
        command = ours(project, folder, PORT, workers=WORKERS, capture=str(folder / "captured"))
        with running(command, PORT, folder, PYTHONPATH=str(project)) as process:
            statuses, memory = asyncio.run(soak(lines, options.minutes * 60, process.pid))
        records = sum(path.read_bytes().count(b"\n") for path in (folder / "captured").rglob("*.jsonl"))
        print((folder / f"{PORT}.log").read_text().strip())
    growth = max(sizes[-1] / sizes[0] - 1 for sizes in memory.values())
    failed = sum(count for status, count in statuses.items() if status >= 500)
    print(f"answered {statuses[200]}, captured {records}, failed {failed}; memory grew by {growth:.1%}")
    return int(records != statuses[200] or failed > 0 or growth > LARGEST_GROWTH or len(memory) != WORKERS)


if __name__ == "__main__":
    sys.exit(main())

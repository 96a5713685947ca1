"""How fast the server answers: beside the classic recipe, and beside its own transport with nothing behind it.

Needs wrk (Debian: apt install wrk). All servers run with two workers; rounds are interleaved and medians compared,
since the load shares the cores with them.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time
import urllib.request
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from local_run import ROOT
from served_project import model, ours, prepared, process_tree, python, rows, running, wait_for

CONNECTIONS, WORKERS, ROWS = 64, 2, 1000
CLASSIC, NULL, CAPTURING, NOT_CAPTURING = "classic recipe", "transport only", "ours, capture on", "ours, capture off"
BEFORE = "before, capture on"
GOALS = dict.fromkeys((CAPTURING, NOT_CAPTURING), (40, 0.65))
P99_GOAL, START_GOAL = 1.5, 1.3
LARGEST_DIFFERENCE = 1e-5
CLASSIC_PACKAGES = ("flask", "gunicorn", "gevent", "packaging", "pandas", "scikit-learn", "xgboost-cpu==3.2.0")

CLASSIC_APP = '''
"""The shape of the recipe that SageMaker's examples give for containers of one's own."""
import io, os
import flask, pandas, xgboost
from model.derive import DERIVED, FEATURE_NAMES
from model.schema import SCHEMA

app = flask.Flask(__name__)
CODES = {
    column.name: {category: code for code, category in enumerate(column.categories)}
    for column in SCHEMA.features
    if column.categories
}
classifier = xgboost.XGBClassifier(n_jobs=1)
classifier.load_model(os.environ["MODEL"])

@app.route("/ping")
def ping():
    return flask.Response(response="", status=200, mimetype="application/json")

@app.route("/invocations", methods=["POST"])
def invocations():
    if flask.request.content_type != "text/csv":
        return flask.Response(response="only CSV is supported", status=415, mimetype="text/plain")
    data = flask.request.data.decode("utf-8")
    frame = pandas.read_csv(io.StringIO(data), header=None, names=list(SCHEMA.feature_names))
    for name, codes in CODES.items():
        frame[name] = frame[name].map(codes)
    for name, function in DERIVED.items():
        frame[name] = function(frame)
    predictions = classifier.predict_proba(frame[list(FEATURE_NAMES)])[:, 1]
    out = io.StringIO()
    pandas.DataFrame({"results": predictions}).to_csv(out, header=False, index=False)
    return flask.Response(response=out.getvalue(), status=200, mimetype="text/csv")
'''

NULL_APP = """
async def app(scope, receive, send):
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"6")]})
    await send({"type": "http.response.body", "body": b"0.500\\n"})
"""

LOAD = """
local requests, position = {}, 0
function init()
  for line in io.lines("rows.csv") do
    requests[#requests + 1] = wrk.format("POST", "/invocations", {["Content-Type"] = "text/csv"}, line .. "\\n")
  end
end
function request()
  position = position % #requests + 1
  return requests[position]
end
function done(summary, latency)
  local errors = summary.errors
  io.write(string.format('RESULT {"requests": %d, "seconds": %f, "p50": %f, "p99": %f, "errors": %d}\\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
"""


@dataclass(frozen=True)
class Round:
    """What one server did in one round: requests a second, latencies in milliseconds, CPU time in microseconds."""

    rate: float
    p50: float
    p99: float
    cpu: float


def make_classic(folder: Path) -> Path:
    """The classic recipe's own environment; its folder of programs."""
    tool = ROOT / ".tools/bin/uv"
    uv = str(tool) if tool.exists() else shutil.which("uv")
    environment = folder / "classic"
    subprocess.run([str(uv), "venv", "--quiet", str(environment)], check=True)
    install = [str(uv), "pip", "install", "--quiet", "--compile-bytecode", "--python", str(environment)]
    subprocess.run([*install, *CLASSIC_PACKAGES], check=True)
    return environment / "bin"


def measure(port: int, pid: int, folder: Path, seconds: int) -> Round:
    """Load a server for some seconds."""
    command = [
        "wrk",
        "-t1",
        f"-c{CONNECTIONS}",
        f"-d{seconds}s",
        "--timeout",
        "20s",
        "-s",
        "load.lua",
        f"http://127.0.0.1:{port}",
    ]
    before = cpu_seconds(pid)
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    spent = cpu_seconds(pid) - before
    result = json.loads(done.stdout.rpartition("RESULT ")[2])
    if result["errors"]:
        raise SystemExit(f"the server at port {port} failed {result['errors']} of {result['requests']} requests")
    requests = result["requests"]
    return Round(requests / result["seconds"], result["p50"], result["p99"], spent / requests * 1e6)


def compare(ports: list[int], folder: Path) -> None:
    """Check that servers give the same answer: what is compared must do the same work."""
    body = (folder / "rows.csv").read_bytes()
    answers = []
    for port in ports:
        request = urllib.request.Request(f"http://127.0.0.1:{port}/invocations", body, {"Content-Type": "text/csv"})
        with urllib.request.urlopen(request) as response:
            answers.append([float(line) for line in response.read().split()])
    for answer in answers[1:]:
        if max(abs(one - other) for one, other in zip(answers[0], answer, strict=True)) > LARGEST_DIFFERENCE:
            raise SystemExit("the servers do not give the same answers")


def cpu_seconds(pid: int) -> float:
    """The CPU time that a process and its children have taken."""
    ticks = 0
    for process in process_tree(pid):
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def start_seconds(project: Path, folder: Path, rounds: int) -> float:
    """How long one worker takes from the command to its first answer; the median."""
    taken = []
    for number in range(rounds):
        port = 9410 + number
        command = ours(project, folder, port, workers=1)
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(project)}
        started = time.perf_counter()
        process = subprocess.Popen(command, cwd=project, env=environment, stderr=subprocess.DEVNULL)
        wait_for(port, process)
        taken.append(time.perf_counter() - started)
        process.terminate()
        process.wait()
    return statistics.median(taken)


def import_seconds(project: Path, module: str, rounds: int) -> float:
    """How long Python takes to start and import a module; the median."""
    taken = []
    for _ in range(rounds):
        started = time.perf_counter()
        subprocess.run([python(project), "-c", f"import {module}"], check=True)
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def servers(project: Path, folder: Path, before: Path | None) -> dict[str, tuple[list[str], int, dict[str, str]]]:
    """The command, port and variables of each server."""
    classic = make_classic(folder)
    (folder / "classic_app.py").write_text(CLASSIC_APP)
    (folder / "null_app.py").write_text(NULL_APP)
    workers = str(WORKERS)
    variables = {"PYTHONPATH": f"{project / 'src'}:{project}:{folder}", "MODEL": str(model(project) / "model.ubj")}
    gunicorn = [str(classic / "gunicorn"), "-k", "gevent", "-w", workers, "-b", "127.0.0.1:9401", "classic_app:app"]
    uvicorn = [
        python(project), "-m", "uvicorn", "null_app:app", "--port", "9402", "--workers", workers, "--loop", "uvloop",
        "--http", "httptools", "--ws", "none", "--lifespan", "off", "--no-access-log", "--no-server-header",
        "--no-proxy-headers", "--log-level", "warning",
    ]  # fmt: skip
    here = {"PYTHONPATH": str(project)}
    captured = str(folder / "captured")
    capturing = ours(project, folder, 9403, workers=WORKERS, capture=captured)
    earlier = {}
    if before:
        before = before.resolve()
        command = ours(before, folder, 9405, workers=WORKERS, capture=f"{captured}-before")
        earlier[BEFORE] = command, 9405, {"PYTHONPATH": str(before)}
    return {
        CLASSIC: (gunicorn, 9401, variables),
        NULL: (uvicorn, 9402, {"PYTHONPATH": str(folder)}),
        **earlier,
        CAPTURING: (capturing, 9403, here),
        NOT_CAPTURING: (ours(project, folder, 9404, workers=WORKERS), 9404, here),
    }


def main() -> None:
    """Measure and print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=5, help="of a round (default: %(default)s)")
    parser.add_argument("--project", type=Path, help="a project that is set up (default: one is made)")
    parser.add_argument("--before", type=Path, help="a project of an earlier release, which has served a model")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        project = prepared(options.project and options.project.resolve(), folder)
        (folder / "rows.csv").write_text("\n".join(rows(project, ROWS)) + "\n")
        (folder / "load.lua").write_text(LOAD)
        start = start_seconds(project, folder, options.rounds)
        floor = import_seconds(project, "xgboost", options.rounds)
        processes = {
            kind: (port, stack.enter_context(running(command, port, folder, **variables)).pid)
            for kind, (command, port, variables) in servers(project, folder, options.before).items()
        }
        compare([processes[kind][0] for kind in (CLASSIC, CAPTURING, NOT_CAPTURING)], folder)
        found: dict[str, list[Round]] = {kind: [] for kind in processes}
        for number in range(options.rounds + 1):
            for kind, (port, pid) in processes.items():
                result = measure(port, pid, folder, options.seconds if number else 1)
                if number:  # the first round warms the servers
                    found[kind].append(result)
    report(found, start, floor)


def report(found: dict[str, list[Round]], start: float, floor: float) -> None:
    """Print what was found, beside the goals."""

    def median(kind: str, figure: str) -> float:
        return float(statistics.median(getattr(result, figure) for result in found[kind]))

    columns = f"{'':<20}{'req/s':>8}{'p50 ms':>9}{'p99 ms':>9}{'CPU us':>9}"
    print(f"{columns}{'x classic':>11}{'of transport':>14}{'its p99 x':>11}")
    for kind in found:
        rate, cpu = median(kind, "rate"), median(kind, "cpu")
        times = statistics.median(
            mine.rate / theirs.rate for mine, theirs in zip(found[kind], found[CLASSIC], strict=True)
        )
        pairs = list(zip(found[kind], found[NULL], strict=True))
        share = statistics.median(mine.rate / theirs.rate for mine, theirs in pairs)
        delay = statistics.median(mine.p99 / theirs.p99 for mine, theirs in pairs)
        goal = "   (goals: {} x, {:.0%})".format(*GOALS[kind]) if kind in GOALS else ""
        p50, p99 = median(kind, "p50"), median(kind, "p99")
        print(f"{kind:<20}{rate:8.0f}{p50:9.1f}{p99:9.1f}{cpu:9.1f}{times:11.1f}{share:14.0%}{delay:11.1f}{goal}")
    print(f"goal for p99: <= {P99_GOAL} x that of the transport")
    print(f"start, one worker: {start:.2f} s (goal: <= {START_GOAL} x `import xgboost`, which takes {floor:.2f} s)")


if __name__ == "__main__":
    main()

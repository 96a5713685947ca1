import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from mlops.base.errors import MlopsError
from mlops.base.processes import Group, Process
from mlops.run.processes import JOB_NAME, RECORD, stop_orphans
from mlops.run.runner import LocalRun, check_runnable
from mlops.run.state import RunState
from tests.machinery.pipeline.definitions import (
    JOINED,
    OUTPUT,
    compare,
    condition,
    definition,
    get,
    local_run,
    output_of,
    pieces,
    processing,
)
from tests.machinery.serving.served import until
from tests.places import DATA_KEY, ROLE

pytestmark = pytest.mark.alone

WRITE = "(out / 'value.json').write_text(json.dumps({'value': 7}))"
RETRIED = [
    {"BackoffRate": 1.0, "IntervalSeconds": 1, "MaxAttempts": 2, "ExceptionType": ["SageMaker.JOB_INTERNAL_ERROR"]}
]
TRAINING = {
    "OutputDataConfig": {"S3OutputPath": "s3://bucket/models"},
    "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
    "RoleArn": ROLE,
    "StoppingCondition": {"MaxRuntimeInSeconds": 600},
}
CACHED = {"Enabled": True, "ExpireAfter": "P30D"}


def statuses(state: RunState) -> dict[str, str]:
    return {name: step.status for name, step in state.steps.items()}


def read(run: Any, step: str, name: str = "value.json") -> Any:
    return run.store.read_json(f"s3://bucket/runs/{run.state.id}/{step}/{name}")


def test_a_run_on_instances_whose_disks_take_no_key_fails_as_sagemaker_would_refuse_it(tmp_path: Path) -> None:
    step = processing("Step", WRITE)
    cluster = step["Arguments"]["ProcessingResources"]["ClusterConfig"]
    cluster |= {"InstanceType": get("Parameters.Type"), "VolumeKmsKeyId": DATA_KEY}
    declared = [{"Name": "Type", "Type": "String", "DefaultValue": "ml.m5.large"}]
    pipeline = definition(step, parameters=declared)
    assert statuses(local_run(tmp_path / "default", pipeline).execute()) == {"Step": "Succeeded"}
    state = local_run(tmp_path / "other", pipeline, parameters={"Type": "ml.g5.xlarge"}).execute()
    assert statuses(state) == {"Step": "Failed"}
    assert "ml.g5.xlarge has local NVMe disks" in state.steps["Step"].failure


def test_a_step_reads_what_the_step_before_it_wrote(tmp_path: Path) -> None:
    double = "value = json.loads((inputs / 'a/value.json').read_text())['value']\n" + WRITE.replace("7", "2 * value")
    run = local_run(
        tmp_path, definition(processing("Second", double, inputs={"a": output_of("First")}), processing("First", WRITE))
    )
    assert run.execute().status == "Succeeded"
    assert read(run, "Second") == {"value": 14}


def test_independent_steps_run_side_by_side(tmp_path: Path) -> None:
    meet = """
import time
Path({mine!r}).touch()
deadline = time.monotonic() + 20
while not Path({other!r}).exists():
    if time.monotonic() > deadline:
        sys.exit('the other step did not start')
    time.sleep(0.01)
"""
    left, right = str(tmp_path / "left"), str(tmp_path / "right")
    steps = [
        processing("Left", meet.format(mine=left, other=right)),
        processing("Right", meet.format(mine=right, other=left)),
    ]
    assert local_run(tmp_path, definition(*steps)).execute().status == "Succeeded"


@pytest.mark.parametrize(("threshold", "registered"), [(5, True), (9, False)])
def test_a_condition_decides_on_a_property_file_which_branch_runs(
    tmp_path: Path, threshold: int, registered: bool
) -> None:
    files = [{"PropertyFileName": "F", "OutputName": "out", "FilePath": "value.json"}]
    figure = {"Std:JsonGet": {"PropertyFile": get("Steps.Check.PropertyFiles.F"), "Path": "value"}}
    gate = condition(
        "Gate",
        [compare(figure, "GreaterThan", get("Parameters.Least"))],
        [processing("Good", WRITE), processing("AfterGood", WRITE, inputs={"a": output_of("Good")})],
        [{"Name": "Bad", "Type": "Fail", "Arguments": {"ErrorMessage": "not good enough"}}],
    )
    run = local_run(
        tmp_path,
        definition(
            processing("Check", WRITE, PropertyFiles=files),
            gate,
            processing("Later", WRITE, DependsOn=["AfterGood"]),
            parameters=[{"Name": "Least", "Type": "Integer", "DefaultValue": threshold}],
        ),
    )
    state = run.execute()
    if registered:
        assert set(statuses(state).values()) == {"Succeeded", "Skipped"}
        assert statuses(state)["Bad"] == "Skipped"
        assert state.steps["Gate"].figures == ["value 7 > Least 5"]
    else:
        assert statuses(state)["Good"] == statuses(state)["AfterGood"] == statuses(state)["Later"] == "Skipped"
        assert state.status == "Failed"
        assert state.failure == "Bad: Fail: not good enough [value 7 > Least 9 (missed)]"


def test_a_failed_step_stops_what_hangs_on_it_and_lets_the_others_end(tmp_path: Path) -> None:
    steps = [
        processing("Bad", "print('about to fail'); sys.exit(3)"),
        processing("AfterBad", WRITE, DependsOn=["Bad"]),
        processing("Slow", "import time; time.sleep(0.5)\n" + WRITE),
    ]
    state = local_run(tmp_path, definition(*steps)).execute()
    assert statuses(state) == {"Bad": "Failed", "AfterBad": "NotStarted", "Slow": "Succeeded"}
    assert state.steps["Bad"].failure == "AlgorithmError: exit code 3"


def test_the_reason_a_job_leaves_is_the_reason_of_the_failure(tmp_path: Path) -> None:
    code = "Path('/opt/ml/output/message').write_text('column age is missing'); sys.exit(1)"
    state = local_run(tmp_path, definition(processing("Bad", code))).execute()
    assert state.steps["Bad"].failure == "AlgorithmError: exit code 1: column age is missing"


def test_an_output_is_not_in_the_store_until_its_job_has_succeeded(tmp_path: Path) -> None:
    run = local_run(tmp_path, definition(processing("Bad", WRITE + "; sys.exit(1)")))
    run.execute()
    assert not run.store.exists(f"s3://bucket/runs/{run.state.id}/Bad/value.json")


def test_a_killed_job_is_retried_as_its_policy_says_and_then_fails(tmp_path: Path) -> None:
    count = tmp_path / "count"
    code = f"count = open({str(count)!r}, 'a'); count.write('x'); count.close(); os.kill(os.getpid(), 9)"
    state = local_run(tmp_path, definition(processing("Killed", code, RetryPolicies=RETRIED))).execute()
    assert state.steps["Killed"].failure == "SageMaker.JOB_INTERNAL_ERROR: The job was killed by SIGKILL."
    assert count.read_text() == "xxx"
    assert state.steps["Killed"].attempts == 3


def test_a_fault_of_the_script_is_not_retried(tmp_path: Path) -> None:
    state = local_run(tmp_path, definition(processing("Bad", "sys.exit(1)", RetryPolicies=RETRIED))).execute()
    assert state.steps["Bad"].attempts == 1


def test_a_job_that_outruns_its_limit_is_ended(tmp_path: Path) -> None:
    step = processing("Endless", "import time; time.sleep(60)")
    step["Arguments"]["StoppingCondition"] = {"MaxRuntimeInSeconds": 1}
    state = local_run(tmp_path, definition(step)).execute()
    assert state.steps["Endless"].failure.startswith("MaxRuntimeExceeded")


def test_resuming_runs_only_what_has_not_succeeded(tmp_path: Path) -> None:
    count, ready = tmp_path / "count", tmp_path / "ready"
    first = f"open({str(count)!r}, 'a').write('x')\n{WRITE}"
    second = f"sys.exit(0 if Path({str(ready)!r}).exists() else 1)"
    run = local_run(tmp_path, definition(processing("First", first), processing("Second", second, DependsOn=["First"])))
    assert run.execute().status == "Failed"
    ready.touch()
    run.state = run.folder.load()
    assert run.execute().status == "Succeeded"
    assert count.read_text() == "x"


def count_runs(folder: Path) -> str:
    return f"open({str(folder / 'count')!r}, 'a').write('x')\n{WRITE}"


def test_a_step_with_the_same_request_is_taken_from_the_cache(tmp_path: Path) -> None:
    pipeline = definition(processing("A", count_runs(tmp_path), CacheConfig=CACHED))
    first, second = local_run(tmp_path, pipeline), local_run(tmp_path, pipeline)
    first.execute()
    state = second.execute()
    assert (tmp_path / "count").read_text() == "x"
    assert state.steps["A"].cached
    assert state.steps["A"].properties == first.state.steps["A"].properties


def test_the_content_of_an_input_is_no_part_of_the_cache_key_as_on_sagemaker(tmp_path: Path) -> None:
    step = processing("A", count_runs(tmp_path), inputs={"data": "s3://bucket/data/"}, CacheConfig=CACHED)
    data = tmp_path / "s3/bucket/data/rows.csv"
    data.parent.mkdir(parents=True)
    for content in ("1", "2"):
        data.write_text(content)
        local_run(tmp_path, definition(step)).execute()
    assert (tmp_path / "count").read_text() == "x"


@pytest.mark.parametrize(
    "change", ["argument", "environment", "no cache asked for", "output gone", "expired", "torn", "future"]
)
def test_a_step_runs_again_when(change: str, tmp_path: Path) -> None:
    step = processing("A", count_runs(tmp_path), CacheConfig=CACHED)
    local_run(tmp_path, definition(step)).execute()
    (entry,) = (tmp_path / "cache").glob("*.json")
    settings: dict[str, Any] = {}
    if change == "argument":
        step["Arguments"]["AppSpecification"]["ContainerArguments"] += ["\n# data version 2"]
    elif change == "environment":
        step["Arguments"]["Environment"] = {"A": "1"}
    elif change == "no cache asked for":
        settings["use_cache"] = False
    elif change == "output gone":
        shutil.rmtree(tmp_path / "s3")
    elif change in ("expired", "future"):
        content = json.loads(entry.read_text())
        year = 2020 if change == "expired" else 2999
        entry.write_text(json.dumps({**content, "time": f"{year}-01-01T00:00:00+00:00"}))
    else:
        entry.write_text(entry.read_text()[:20])
    state = local_run(tmp_path, definition(step), **settings).execute()
    assert (tmp_path / "count").read_text() == "xx"
    assert not state.steps["A"].cached


def test_a_path_with_blanks_and_quotes_serves_as_well(tmp_path: Path) -> None:
    folder = tmp_path / "my 'own' pröject"
    run = local_run(folder, definition(processing("First", WRITE)))
    assert run.execute().status == "Succeeded"
    assert read(run, "First") == {"value": 7}


@pytest.mark.parametrize("folder", ["plain", "with blank"])
def test_a_job_can_be_run_again_alone_by_its_command(tmp_path: Path, folder: str) -> None:
    run = local_run(tmp_path / folder, definition(processing("Bad", "print(os.environ['HOME']); sys.exit(4)")))
    run.execute()
    job = run.folder.path / "Bad-1"
    result = subprocess.run(["sh", str(job / "command.sh")], capture_output=True, text=True, check=False)
    assert result.returncode == 4
    assert Path(result.stdout.strip()).resolve() == job.resolve()


@pytest.mark.parametrize("kind", ["Tuning", "EMR", "QualityCheck", "Callback"])
def test_a_step_that_cannot_run_here_is_refused_by_name(kind: str) -> None:
    with pytest.raises(MlopsError, match=f"Step Odd is of type {kind}"):
        check_runnable(definition({"Name": "Odd", "Type": kind, "Arguments": {}}), {})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("''", "ContainerArguments[1]: an empty string"),
        ("257 * 'x'", "ContainerArguments[1]: 257 characters where the API expects 0 to 256"),
    ],
)
def test_what_a_step_computed_is_refused_where_the_service_would_refuse_it(
    tmp_path: Path, given: str, said: str
) -> None:
    first = processing("First", f"(out / 'value.json').write_text(json.dumps({{'value': {given}}}))")
    second = processing("Second", "Path('ran').touch()")
    uri = {"Std:Join": {"On": "/", "Values": [output_of("First"), "value.json"]}}
    value = {"Std:JsonGet": {"S3Uri": uri, "Path": "value"}}
    second["Arguments"]["AppSpecification"]["ContainerArguments"].append(value)
    run = local_run(tmp_path, definition(first, second))
    state = run.execute()
    assert statuses(state) == {"First": "Succeeded", "Second": "Failed"}
    assert f"SageMaker would refuse CreateProcessingJob: AppSpecification.{said}" in state.steps["Second"].failure
    assert state.steps["Second"].attempts == 0  # nothing was started


def test_an_input_takes_in_all_names_that_begin_like_it_as_in_s3(tmp_path: Path) -> None:
    first = processing("First", WRITE)
    small = processing("First_small", WRITE.replace("7", "8"))
    names = "names = sorted(str(path.relative_to(inputs)) for path in inputs.rglob('*.json'))"
    count = f"{names}\n(out / 'value.json').write_text(json.dumps(names))"
    reads = processing("Reads", count, inputs={"a": output_of("First")}, DependsOn=["First_small"])
    run = local_run(tmp_path, definition(first, small, reads))
    assert run.execute().status == "Succeeded"
    assert read(run, "Reads") == ["a/_small/value.json", "a/value.json"]


def test_a_condition_of_unknown_type_is_refused_wherever_it_stands() -> None:
    gate = condition("Gate", [{"Type": "Not", "Condition": {"Type": "Weird"}}])
    with pytest.raises(MlopsError, match="Gate has a condition of unknown type Weird"):
        check_runnable(definition(gate), {})


def test_a_job_sees_no_variable_of_the_caller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    code = "(out / 'value.json').write_text(json.dumps(sorted(os.environ)))"
    run = local_run(tmp_path, definition(processing("A", code)))
    run.execute()
    assert "AWS_SECRET_ACCESS_KEY" not in read(run, "A")


def test_only_paths_of_the_container_are_rewritten(tmp_path: Path) -> None:
    paths = ["/opt/ml/x", "s3://b/opt/ml", "/opt/mlx", "--a=/opt/ml"]
    step = processing("A", f"(out / 'value.json').write_text(json.dumps({paths}))")
    run = local_run(tmp_path, definition(step))
    run.execute()
    root = f"{run.folder.path}/A-1/opt/ml"
    assert read(run, "A") == [f"{root}/x", "s3://b/opt/ml", "/opt/mlx", f"--a={root}"]


def interrupt_when_there(path: Path) -> None:
    """Interrupt this process, as Ctrl-C does, as soon as a file has content."""

    def interrupt() -> None:
        while not (path.exists() and path.read_text()):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()


def test_an_interrupted_run_ends_its_jobs_and_can_be_resumed(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    code = f"import time; begun = Path({str(begun)!r}); again = begun.exists(); begun.write_text(str(os.getpid()))"
    code += "\nif not again: time.sleep(60)"
    run = local_run(tmp_path, definition(processing("First", WRITE), processing("Slow", code, DependsOn=["First"])))

    interrupt_when_there(begun)
    with pytest.raises(KeyboardInterrupt):
        run.execute()
    state = run.folder.load()
    assert state.status == "Stopped"
    assert statuses(state) == {"First": "Succeeded", "Slow": "Stopped"}
    with pytest.raises(ProcessLookupError):
        os.kill(int(begun.read_text()), 0)
    run.state = state
    assert run.execute().status == "Succeeded"


def test_a_full_disk_is_said_and_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = local_run(tmp_path, definition(processing("First", WRITE), processing("Second", WRITE, DependsOn=["First"])))
    replace, calls = os.fsync, []

    def full(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        replace(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(MlopsError, match="No space left on device"):
            run.execute()
    state = run.folder.load()
    assert state.status == "Interrupted"
    assert not list(run.folder.path.glob(".run.json.*"))
    run.state = state
    assert run.execute().status == "Succeeded"


def test_one_run_is_executed_by_one_process(tmp_path: Path) -> None:
    run = local_run(tmp_path, definition(processing("First", WRITE)))
    run.folder.save(run.state)
    held = threading.Event()
    done = threading.Event()

    def hold() -> None:
        with run.folder.hold():
            held.set()
            done.wait(20)

    holder = threading.Thread(target=hold)
    holder.start()
    assert held.wait(20)
    try:
        assert run.folder.load().status == "Executing"
        with pytest.raises(MlopsError, match="executing in another process"), run.folder.hold():
            pass
    finally:
        done.set()
        holder.join()
    assert run.folder.load().status == "Interrupted"


def test_results_that_are_gone_are_made_again_when_a_run_is_resumed(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    last = f"sys.exit(0 if Path({str(ready)!r}).exists() else 1)"
    steps = [
        processing("First", count_runs(tmp_path)),
        processing("Second", WRITE, inputs={"a": output_of("First")}),
        processing("Last", last, DependsOn=["Second"]),
    ]
    run = local_run(tmp_path, definition(*steps))
    assert run.execute().status == "Failed"
    shutil.rmtree(tmp_path / "s3/bucket/runs" / run.state.id / "First")
    ready.touch()
    run.state = run.folder.load()
    assert run.execute().status == "Succeeded"
    assert (tmp_path / "count").read_text() == "xx"


def ends_properly(begun: Path, ended: Path) -> dict[str, Any]:
    """Return a step that needs half a second to end when it is told to."""
    code = (
        "import os, signal, sys, time\n"
        "from pathlib import Path\n"
        f"def end(*_): time.sleep(0.5); Path({str(ended)!r}).touch(); sys.exit()\n"
        "signal.signal(signal.SIGTERM, end)\n"
        f"Path({str(begun)!r}).write_text(str(os.getpid()))\n"
        "time.sleep(60)\n"
    )
    step = processing("Slow", "")
    # A shell between, as the SDK's training driver is: it dies at the first signal, its child does not.
    application = step["Arguments"]["AppSpecification"]
    application["ContainerEntrypoint"] = ["bash", "-c", f'python3 -c "{JOINED}" "$@"; true', "bash"]
    application["ContainerArguments"] = pieces(code)
    return step


def test_stopping_a_run_waits_for_jobs_that_end_properly_and_leaves_none_behind(tmp_path: Path) -> None:
    begun, ended = tmp_path / "begun", tmp_path / "ended"
    run = local_run(tmp_path, definition(ends_properly(begun, ended)))

    interrupt_when_there(begun)
    with pytest.raises(KeyboardInterrupt):
        run.execute()
    assert ended.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(int(begun.read_text()), 0)


def test_a_job_that_outruns_its_limit_has_time_to_end_properly(tmp_path: Path) -> None:
    begun, ended = tmp_path / "begun", tmp_path / "ended"
    step = ends_properly(begun, ended)
    step["Arguments"]["StoppingCondition"] = {"MaxRuntimeInSeconds": 2}
    state = local_run(tmp_path, definition(step)).execute()
    assert state.steps["Slow"].failure.startswith("MaxRuntimeExceeded")
    assert ended.exists()


JOB = "pipelines-run-First-1"
SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


def started(*command: str, name: str = JOB, **options: Any) -> "subprocess.Popen[bytes]":
    """A process in a group of its own, with the name of a job in its environment."""
    environment = {**os.environ, JOB_NAME: name}
    return subprocess.Popen(command, start_new_session=True, env=environment, stdout=subprocess.PIPE, **options)


def is_gone(process: Process) -> bool:
    """Whether a process has ended; where no init process reaps it, it stays as a zombie."""
    listing = subprocess.run(["ps", "-o", "stat=", "-p", str(process.pid)], capture_output=True, text=True, check=False)
    return listing.stdout.strip().startswith("Z") or not process.is_running()


def recorded(run: LocalRun, leader: Process) -> None:
    """A run whose process was killed while it executed a job."""
    folder = run.folder.path / "First-1"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RECORD).write_text(json.dumps(asdict(Group(leader, f"{JOB_NAME}={JOB}"))))


@contextmanager
def survivor(*command: str, **options: Any) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that must not be ended."""
    with started(*command, **options) as process:
        try:
            yield process
            assert process.poll() is None
        finally:
            process.kill()


def test_a_job_that_outlived_its_run_is_ended_when_the_run_is_resumed(tmp_path: Path) -> None:
    run = local_run(tmp_path, definition(processing("First", WRITE)))
    with started(*SLEEP) as orphan:
        recorded(run, Process.of(orphan.pid))
        assert run.execute().status == "Succeeded"
        assert orphan.wait(10) == -signal.SIGKILL
    assert run.state.steps["First"].folder == "First-2"
    assert not list(run.folder.path.glob(f"*/{RECORD}"))


def test_a_job_whose_leader_has_ended_is_ended_too(tmp_path: Path) -> None:
    run = local_run(tmp_path, definition(processing("First", WRITE)))
    with started("sh", "-c", "sleep 60 >/dev/null & echo $!; wait") as shell:
        leader = Process.of(shell.pid)
        assert shell.stdout
        job = Process.of(int(shell.stdout.readline()))
        shell.kill()
        shell.wait()
        assert job.is_running()
        recorded(run, leader)
        assert run.execute().status == "Succeeded"
        until(lambda: is_gone(job))


def test_bystanders_survive_that_a_run_is_resumed(tmp_path: Path) -> None:
    run = local_run(tmp_path, definition(processing("First", WRITE)))
    log = run.folder.path / "First-1/job.log"
    paths = [f"{run.folder.path}/First-1/opt/ml/model", str(log)]
    log.parent.mkdir(parents=True)
    log.touch()
    with (
        survivor(*SLEEP, *paths) as editor,
        survivor("sh", "-c", f"cd {run.folder.path.parent}; exec tail -f {paths[1]} /dev/null"),
        survivor(*SLEEP) as recycled,
        survivor(*SLEEP, name=f"{JOB}0") as namesake,
        started(*SLEEP) as ended,
    ):
        ended.kill()
        ended.wait()
        recorded(run, Process(recycled.pid, Process.of(editor.pid).started + "0"))
        for number, leader in enumerate((Process(namesake.pid, ""), Process.of(ended.pid))):
            folder = run.folder.path / f"Second-{number}"
            folder.mkdir()
            (folder / RECORD).write_text(json.dumps(asdict(Group(leader, f"{JOB_NAME}={JOB}"))))
        assert run.execute().status == "Succeeded"


@pytest.mark.parametrize("pid", [-1, 0, 1, "this", "parent", 2**40])
def test_a_record_of_a_process_that_is_no_job_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pid: int | str
) -> None:
    number = {"this": os.getpid(), "parent": os.getppid()}[pid] if isinstance(pid, str) else pid
    sent: list[int] = []
    for name in ("kill", "killpg"):
        monkeypatch.setattr(os, name, lambda target, number: sent.append(target))
    record = tmp_path / "First-1" / RECORD
    record.parent.mkdir()
    for leader in (Process(number, ""), Process(number, "x"), Process.of(number)):
        for mark in (f"{JOB_NAME}={JOB}", ""):
            record.write_text(json.dumps(asdict(Group(leader, mark))))
            stop_orphans(tmp_path)
    assert sent == []


def test_a_damaged_record_of_a_job_is_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "First-1").mkdir()
    record = tmp_path / "First-1" / RECORD
    for content in ("[]", "{", '{"leader": {"pid": "1", "started": "x"}, "mark": ""}'):
        record.write_text(content)
        with pytest.raises(MlopsError, match="record of a job's processes is damaged") as refusal:
            stop_orphans(tmp_path)
        assert f"delete {record}" in refusal.value.remedy


def test_a_policy_of_minutes_retries_until_they_are_over(tmp_path: Path) -> None:
    count = tmp_path / "count"
    code = f"count = Path({str(count)!r}); before = count.read_text() if count.exists() else ''\n"
    code += "count.write_text(before + 'x')\nif len(before) < 2: os.kill(os.getpid(), 9)"
    policy = [{"IntervalSeconds": 0, "ExpireAfterMin": 5, "ExceptionType": ["SageMaker.JOB_INTERNAL_ERROR"]}]
    state = local_run(tmp_path, definition(processing("Killed", code, RetryPolicies=policy))).execute()
    assert (state.status, count.read_text()) == ("Succeeded", "xxx")


def test_a_job_that_succeeded_keeps_its_log_and_not_its_files(tmp_path: Path) -> None:
    run = local_run(tmp_path, definition(processing("First", WRITE + "; print('said')")))
    run.execute()
    left = {path.name for path in (run.folder.path / "First-1").iterdir()}
    assert left == {"command.sh", "job.log", "request.json"}
    assert "said" in (run.folder.path / "First-1/job.log").read_text()


def test_training_gives_the_model_archive_the_metrics_and_the_parameters(tmp_path: Path) -> None:
    code = (
        "import json, os; from pathlib import Path; root = Path('/opt/ml')\n"
        "print('auc:0.5'); print('loss:nan'); print('loss:n/a'); print('auc:0.75')\n"
        "seen = json.loads((root / 'input/config/hyperparameters.json').read_text())\n"
        "(root / 'model/model.json').write_text(json.dumps(seen))"
    )
    step = {
        "Name": "Train",
        "Type": "Training",
        "Arguments": {
            "AlgorithmSpecification": {
                "TrainingImage": "image",
                "TrainingInputMode": "File",
                "ContainerEntrypoint": ["python3", "-c", JOINED],
                "ContainerArguments": pieces(code),
                "MetricDefinitions": [
                    {"Name": "auc", "Regex": "auc:([0-9.]+)"},
                    {"Name": "odd", "Regex": "auc:(.*)5"},
                    {"Name": "none", "Regex": "loss:(.*)"},
                ],
            },
            "HyperParameters": {"depth": "3"},
            **TRAINING,
        },
    }
    run = local_run(tmp_path, definition(step))
    assert run.execute().status == "Succeeded"
    properties = run.state.steps["Train"].properties
    assert {metric["MetricName"]: metric["Value"] for metric in properties["FinalMetricDataList"]} == {
        "auc": 0.75,
        "odd": 0.7,
    }
    with tarfile.open(run.store.path(properties["ModelArtifacts"]["S3ModelArtifacts"])) as archive:
        model = archive.extractfile("model.json")
        assert model is not None
        assert json.load(model) == {"depth": "3"}


def test_metrics_are_read_as_the_service_reads_them_for_its_own_image(tmp_path: Path) -> None:
    log = "[0]\ttrain-auc:0.5\tvalidation-auc:0.25\nvalidation-auc:1\n[1]\ttrain-auc:0.75\tvalidation-auc:2e-1"
    step = {
        "Name": "Train",
        "Type": "Training",
        "Arguments": {
            "AlgorithmSpecification": {
                "TrainingImage": "1.dkr.ecr.eu-west-1.amazonaws.com/sagemaker-xgboost:3.2-0",
                "TrainingInputMode": "File",
                "ContainerEntrypoint": ["python3", "-c", f"print({log!r})"],
            },
            **TRAINING,
        },
    }
    run = local_run(tmp_path, definition(step))
    assert run.execute().status == "Succeeded"
    metrics = run.state.steps["Train"].properties["FinalMetricDataList"]
    assert {metric["MetricName"]: metric["Value"] for metric in metrics} == {"train:auc": 0.75, "validation:auc": 0.2}


def test_an_image_with_a_program_of_its_own_is_refused(tmp_path: Path) -> None:
    step = processing("Own", "")
    del step["Arguments"]["AppSpecification"]["ContainerEntrypoint"]
    del step["Arguments"]["AppSpecification"]["ContainerArguments"]
    state = local_run(tmp_path, definition(step)).execute()
    assert "cannot run without the image" in state.steps["Own"].failure


def test_outputs_go_where_the_definition_says(tmp_path: Path) -> None:
    assert OUTPUT.startswith("/opt/ml")
    run = local_run(tmp_path, definition(processing("A", WRITE)))
    run.execute()
    assert (tmp_path / "s3/bucket/runs" / run.state.id / "A/value.json").is_file()

"""The endpoint of a project on this machine, and the verbs that use it."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlops.base.errors import MlopsError
from mlops.base.payloads import ENDPOINTS, SERVERLESS, Payload
from mlops.base.processes import Process
from mlops.registry.versions import find
from mlops.serving.settings import Settings
from tests.machinery.endpoints.registered import endpoint, free_port, register
from tests.machinery.serving.served import until
from tests.projects import mlops

pytestmark = [pytest.mark.slow, pytest.mark.alone]


@pytest.fixture
def project(default_project: Path, tmp_path: Path) -> Iterator[Path]:
    """A project in which three versions are registered that multiply by 2 and by 3, and one that does not load."""
    folder = Path(shutil.copytree(default_project, tmp_path / "doctor-visits", symlinks=True))
    for factor in ("2", "3", "none"):
        register(folder, factor)
    yield folder
    mlops(folder, "serve", "--stop", check=False)


def ask(folder: Path, numbers: str) -> tuple[str, str]:
    answer = mlops(folder, "invoke", "-", input=numbers)
    return answer.stdout, answer.stderr


def test_a_version_is_served_asked_replaced_and_ended(project: Path) -> None:
    port = free_port()
    said = mlops(project, "serve", "--detach", "--version", "1", "--port", port).stdout
    assert f"Version 1 is served at http://127.0.0.1:{port}." in said
    assert ask(project, "21") == ("42\n", f"version 1 at http://127.0.0.1:{port}:\n")
    pid = json.loads((project / ".mlops/endpoint/local/state.json").read_text())["pid"]
    mlops(project, "serve", "--detach", "--version", "2")
    assert ask(project, "21") == ("63\n", f"version 2 at http://127.0.0.1:{port}:\n")
    assert json.loads((project / ".mlops/endpoint/local/state.json").read_text())["pid"] == pid
    assert "Version 2 is no longer served." in mlops(project, "serve", "--stop").stdout
    assert "No server is running." in mlops(project, "serve", "--stop").stdout
    captured = project / ".mlops/s3/local-bucket/doctor-visits/capture"
    prefixes = {path.relative_to(captured).parts[:3] for path in captured.rglob("*.jsonl")}
    assert prefixes == {(version, "doctor-visits-local", "AllTraffic") for version in "12"}


def test_a_named_version_is_asked_without_the_server(project: Path) -> None:
    mlops(project, "serve", "--detach", "--version", "1", "--port", free_port())
    answer = mlops(project, "invoke", "-", "--version", "2", input="21")
    assert (answer.stdout, answer.stderr) == ("63\n", "")


def test_what_the_server_refuses_is_a_bad_argument_with_its_reason(project: Path) -> None:
    mlops(project, "serve", "--detach", "--version", "1", "--port", free_port())
    answer = mlops(project, "invoke", "-", input="many", check=False)
    assert answer.returncode == 2
    assert "(400): could not convert string to float: 'many'" in answer.stderr


def test_a_port_that_is_none_is_told_in_a_sentence(project: Path) -> None:
    refused = mlops(project, "serve", "--version", "1", "--port", "99999", check=False)
    assert refused.returncode == 2
    assert refused.stderr.endswith("port must be 0-65535.\n")
    assert ".." not in refused.stderr


def test_a_version_that_does_not_load_is_not_served(project: Path) -> None:
    refused = mlops(project, "serve", "--detach", "--version", "3", "--port", free_port(), check=False)
    assert refused.returncode == 1
    assert "Version 3 cannot be served" in refused.stderr
    assert "could not convert string to float" in refused.stderr
    assert "No server is running." in mlops(project, "serve", "--stop").stdout


def test_a_version_that_does_not_load_leaves_the_one_that_is_served(project: Path) -> None:
    mlops(project, "serve", "--detach", "--version", "1", "--port", free_port())
    assert mlops(project, "serve", "--detach", "--version", "3", check=False).returncode == 1
    assert ask(project, "21")[0] == "42\n"


def test_what_a_killed_server_left_behind_is_recognised(project: Path) -> None:
    mlops(project, "serve", "--detach", "--version", "1", "--port", free_port())
    served = endpoint(project)
    state = json.loads((served.folder / "state.json").read_text())
    os.kill(state["pid"], signal.SIGKILL)
    until(lambda: served.describe() is None)
    assert (served.folder / "state.json").exists()
    # Another process has got its number: it is neither asked nor ended.
    (served.folder / "state.json").write_text(json.dumps(state | {"pid": os.getpid()}))
    assert served.stop() is None
    mlops(project, "serve", "--detach", "--version", "2", "--port", free_port())
    assert ask(project, "21")[0] == "63\n"


def test_a_state_that_names_another_process_ends_none(project: Path) -> None:
    mlops(project, "serve", "--detach", "--version", "1", "--port", free_port())
    path = endpoint(project).folder / "state.json"
    state = json.loads(path.read_text())
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True) as bystander:
        try:
            for pid in (-1, 0, 1, os.getpid(), bystander.pid, -bystander.pid, 2**40):
                for started in (
                    {},
                    {"process_started": ""},
                    {"process_started": Process.of(bystander.pid).started[:-1]},
                ):
                    path.write_text(json.dumps(state | {"pid": pid} | started))
                    for arguments in (["--stop"], ["--detach", "--version", "2"]):
                        refused = mlops(project, "serve", *arguments, check=False)
                        assert refused.returncode == 1
                        assert f"names process {pid}, which is not known to be the server" in refused.stderr
                        assert f"{path.parent / 'lock'}" in refused.stderr
            for damaged in ({"pid": str(state["pid"])}, {"pid": True}, {"pid": None}, {"pid": 1.5}):
                path.write_text(json.dumps(state | damaged))
                refused = mlops(project, "serve", "--stop", check=False)
                assert (refused.returncode, "server's state is damaged" in refused.stderr) == (1, True)
            assert bystander.poll() is None
        finally:
            bystander.kill()
    path.write_text(json.dumps(state))
    assert ask(project, "21")[0] == "42\n"
    assert "Version 1 is no longer served." in mlops(project, "serve", "--stop").stdout


def test_a_port_in_use_is_said_with_a_remedy(project: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        refused = mlops(project, "serve", "--detach", "--version", "1", "--port", port, check=False)
    assert refused.returncode == 1
    assert f"Port {port} of 127.0.0.1 is in use." in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_server_is_not_moved_to_another_port(project: Path) -> None:
    mlops(project, "serve", "--detach", "--version", "1", "--port", free_port())
    refused = mlops(project, "serve", "--detach", "--version", "2", "--port", free_port(), check=False)
    assert refused.returncode == 1
    assert "serve --stop" in refused.stderr
    refused = mlops(project, "serve", "--version", "2", check=False)
    assert "is already served: version 1" in refused.stderr


def test_without_a_registered_model_nothing_is_served(default_project: Path) -> None:
    refused = mlops(default_project, "serve", "--detach", check=False)
    assert refused.returncode == 1
    assert "No model is registered yet." in refused.stderr


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("percentage: 100", "percentage: 101", "`capture.percentage: 101`"),
        ("max_payload_mb: 25", "max_payload_mb: 0", "`serving.max_payload_mb: 0`"),
        ("max_payload_mb: 25", "max_payload_mb: 25.5", "a real-time endpoint takes requests of up to 25 MB"),
        ("max_payload_mb: 25", "max_payload_mb: lots", "Use a number"),
        ("metrics: true", "metrics: maybe", "Use true or false"),
        ("read_timeout_seconds: 20", "", "has no value for `serving.read_timeout_seconds`"),
    ],
)
def test_a_wrong_setting_is_said_with_its_name(project: Path, before: str, after: str, said: str) -> None:
    configuration = project / "config/base.yaml"
    assert before in configuration.read_text()
    configuration.write_text(configuration.read_text().replace(before, after))
    served = endpoint(project)
    version = find(served.registry.versions(), 1)
    with pytest.raises(MlopsError) as refusal:
        served.start(version)
    assert said in str(refusal.value)
    assert refusal.value.exit_code == 2
    assert served.describe() is None


@pytest.mark.parametrize(("inference", "payload"), ENDPOINTS.items())
def test_the_server_refuses_what_sagemaker_refuses_for_the_kind_of_endpoint(
    project: Path, inference: str, payload: Payload
) -> None:
    set_answers(project, inference=inference)
    served = endpoint(project)
    version = find(served.registry.versions(), 1)
    configure(project, "max_payload_mb", payload.request + 1)
    with pytest.raises(MlopsError) as refusal:
        served.start(version)
    assert f"{payload.what} takes requests of up to {payload.request} MB" in str(refusal.value)
    assert (refusal.value.exit_code, served.describe()) == (2, None)
    for value, megabytes in ((payload.request, payload.request), (0.5, 0.5), ("", payload.request)):
        configure(project, "max_payload_mb", value)
        served = endpoint(project)
        served.command(version, host=None, port=None, workers=None)
        settings = Settings.read(served.folder / "settings.json")
        assert (settings.max_payload_mb, settings.max_response_mb) == (megabytes, payload.response)


def test_a_request_and_a_response_too_large_for_a_serverless_endpoint_are_refused_here(project: Path) -> None:
    set_answers(project, inference="serverless")
    configure(project, "max_payload_mb", "")
    mlops(project, "serve", "--detach", "--version", "1", "--port", free_port(), "--workers", "1")
    (project / "large.csv").write_bytes(b"1".ljust(SERVERLESS.request_bytes + 1))
    for started in (True, False):
        refused = mlops(project, "invoke", "large.csv", *([] if started else ["--version", "1"]), check=False)
        assert refused.returncode == 2
        assert "fewer rows at a time" in refused.stderr
    (project / "many.csv").write_bytes(b"1234567 " * (SERVERLESS.request_bytes // 8))
    answered = mlops(project, "invoke", "many.csv", check=False)
    assert answered.returncode == 2
    assert "the response is larger than 4194304 bytes" in answered.stderr


def test_metrics_are_shown_unless_the_configuration_says_otherwise(project: Path) -> None:
    served = endpoint(project)
    version = find(served.registry.versions(), 1)
    for value, shown in (("true", True), ("false", False), ("", True)):
        configure(project, "metrics", value)
        served = endpoint(project)
        served.command(version, host=None, port=None, workers=None)
        assert Settings.read(served.folder / "settings.json").metrics is shown


def set_answers(project: Path, **answers: str) -> None:
    file = project / "project.yaml"
    for question, answer in answers.items():
        file.write_text(re.sub(rf"(?m)^{question}: .*", f'{question}: "{answer}"', file.read_text()))


def configure(project: Path, key: str, value: object) -> None:
    """Set a key of the section `serving`; remove it for an empty value."""
    file = project / "config/base.yaml"
    line = f"  {key}: {value}\n" if value != "" else ""
    file.write_text(re.sub(rf"(?m)^  {key}: .*\n", "", file.read_text()).replace("serving:\n", f"serving:\n{line}"))


def test_nothing_is_captured_without_monitoring(project: Path) -> None:
    answers = project / "project.yaml"
    answers.write_text(answers.read_text().replace('monitoring: "on"', 'monitoring: "off"'))
    for name in ("base", "local"):
        file = project / f"config/{name}.yaml"
        file.write_text(re.sub(r"(?m)^(monitoring|capture):\n(  .*\n)+", "", file.read_text()))
    mlops(project, "serve", "--detach", "--version", "1", "--port", free_port())
    assert ask(project, "21")[0] == "42\n"
    mlops(project, "serve", "--stop")
    assert not list(project.rglob("*.jsonl"))


def test_a_project_without_a_server_is_asked_in_this_process(project: Path) -> None:
    answers = project / "project.yaml"
    answers.write_text(answers.read_text().replace('inference: "realtime"', 'inference: "batch"'))
    answer = mlops(project, "invoke", "-", "--version", "2", input="21")
    assert answer.stdout == "63\n"
    assert (
        mlops(project, "invoke", "-", input="21", check=False).returncode == 1
    )  # version 3, the newest, does not load

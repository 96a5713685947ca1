"""Runs a buildspec's phases for real, by bash in a folder of its own, against the stand-in account.

How CodeBuild runs one: https://docs.aws.amazon.com/codebuild/latest/userguide/build-spec-ref.html, and
view-build-details.html there for the transitions of the phases. Its Amazon Linux images run commands by bash, by its
name of `sh` unless `env/shell` says bash.
"""

import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import yaml

from standin.account import StandInAccount
from standin.calls import HOOK, CallRecord
from standin.finding import Finding

PHASES = ("install", "pre_build", "build", "post_build")
LONGEST_BUILD = 600
"""Seconds that the commands of a phase may take here."""


@dataclass(frozen=True)
class Phase:
    """A phase that was run.

    Attributes:
        name: Of PHASES.
        succeeded: Whether its commands and its `finally` ended well.
        output: What they printed, errors included.
    """

    name: str
    succeeded: bool
    output: str


@dataclass(frozen=True)
class Build:
    """What came of a buildspec.

    Attributes:
        phases: Those that were run, in order.
        exported: The exported variables that later stages read.
        artifacts: Folder of each output artifact; the primary one is called by the empty name. None of a failed build.
        commands: Calls of the stand-in commands, with their arguments.
        findings: What the buildspec names and the build did not make.
    """

    phases: list[Phase]
    exported: dict[str, str] = field(default_factory=dict)
    artifacts: dict[str, Path] = field(default_factory=dict)
    commands: list[list[str]] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    @property
    def succeeded(self) -> bool:
        """Whether every phase did, and the artifacts are there."""
        return all(phase.succeeded for phase in self.phases)


@dataclass
class BuildProject:
    """A CodeBuild project, as far as its buildspec sees it.

    Attributes:
        account: Where boto3 and the `aws` command of its builds go.
        record: Takes the calls that they make.
        role: ARN of its service role.
        folder: Where builds run; empty at first. Each build has a folder of its own below it.
        variables: The project's and the action's environment variables, which win over the buildspec's.
        commands: Scripts for bash that stand in for commands, by name; their calls are recorded.
    """

    account: StandInAccount
    record: CallRecord
    role: str
    folder: Path
    variables: Mapping[str, str] = field(default_factory=dict)
    commands: Mapping[str, str] = field(default_factory=dict)

    def build(self, buildspec: str, sources: Mapping[str, Path]) -> Build:
        """Run a buildspec.

        Args:
            buildspec: Its text.
            sources: Folder of each input artifact; the first is the primary source. They are copied.
        """
        spec = yaml.safe_load(buildspec)
        return _Run(self, spec, sources, self.folder / f"build-{len(list(self.folder.glob('build-*'))) + 1}").result()

    @property
    def cache(self) -> Path:
        """What `cache/paths` keep from one build to the next."""
        return self.folder / "cache"


class _Run:
    """One build."""

    def __init__(
        self, project: BuildProject, spec: Mapping[str, Any], sources: Mapping[str, Path], folder: Path
    ) -> None:
        self._project, self._spec = project, spec
        self._source, self._home, self._tools = folder / "src", folder / "home", folder / "tools"
        self._state, self._calls = folder / "state", folder / "commands"
        self._output = folder / "artifacts"
        self._home.mkdir(parents=True)
        self._shell = spec.get("env", {}).get("shell", "/bin/sh")
        self._environment = self._variables(sources, folder)
        self._make_tools()

    def result(self) -> Build:
        phases = list(self._phases())
        commands = self._calls.read_text().splitlines() if self._calls.exists() else []
        build = Build(phases, commands=[json.loads(line) for line in commands])
        if build.succeeded:
            self._keep_cache()
            build.exported.update(self._exported(build))
            self._artifacts(build)
        return build

    def _variables(self, sources: Mapping[str, Path], folder: Path) -> dict[str, str]:
        places = {}
        for index, (name, source) in enumerate(sources.items()):
            place = self._source if index == 0 else folder / f"src-{name}"
            shutil.copytree(source, place, symlinks=True)
            places[f"CODEBUILD_SRC_DIR_{name}" if index else "CODEBUILD_SRC_DIR"] = str(place)
        account, region = self._project.account, self._project.account.region
        build = f"{folder.parent.name}:{folder.name}"
        environment = self._spec.get("env", {})
        return {
            **account.environment(self._project.role),
            **self._project.record.environment(self._project.role),
            "HOME": str(self._home),
            "CI": "true",
            "CODEBUILD_BUILD_ARN": f"arn:aws:codebuild:{region}:{account.id}:build/{build}",
            "CODEBUILD_BUILD_ID": build,
            "CODEBUILD_BUILD_NUMBER": folder.name.rpartition("-")[2],
            "CODEBUILD_INITIATOR": "codepipeline/deploy",
            "CODEBUILD_RESOLVED_SOURCE_VERSION": "0123456789abcdef0123456789abcdef01234567",
            **places,
            **{name: str(value) for name, value in environment.get("variables", {}).items()},
            **self._looked_up(environment),
            **self._project.variables,
        }

    def _looked_up(self, environment: Mapping[str, Any]) -> dict[str, str]:
        values = {}
        for name, parameter in environment.get("parameter-store", {}).items():
            answer = self._project.account.client("ssm").get_parameter(Name=parameter, WithDecryption=True)
            values[name] = answer["Parameter"]["Value"]
        for name, reference in environment.get("secrets-manager", {}).items():
            secret, _, key = reference.partition(":")
            text = self._project.account.client("secretsmanager").get_secret_value(SecretId=secret)["SecretString"]
            values[name] = json.loads(text)[key.partition(":")[0]] if key else text
        return values

    def _make_tools(self) -> None:
        self._tools.mkdir()
        aws = f'exec {shlex.join([*self._project.account.cloud.python.command, str(HOOK / "aws_cli.py")])} "$@"'
        note = f"{shlex.quote(sys.executable)} -S -c 'import json, sys; print(json.dumps(sys.argv[1:]))'"
        for name, script in {"aws": aws, **self._project.commands}.items():
            tool = self._tools / name
            tool.write_text(f'#!/bin/bash\n{note} {name} "$@" >> {shlex.quote(str(self._calls))}\n{script}\n')
            tool.chmod(0o755)
        self._environment["PATH"] = f"{self._tools}:{self._environment['PATH']}"

    def _phases(self) -> Iterator[Phase]:
        self._restore_cache()
        succeeding, aborted = True, False
        for name in PHASES:
            written = self._spec["phases"].get(name)
            if written is None or aborted:
                continue
            phase = self._phase(name, written, succeeding)
            yield phase
            succeeding &= phase.succeeded
            # A failed build phase alone goes on to the next by itself.
            default = "CONTINUE" if name == "build" else "ABORT"
            aborted = not phase.succeeded and written.get("on-failure", default) != "CONTINUE"

    def _phase(self, name: str, written: Mapping[str, Any], succeeding: bool) -> Phase:
        code, output = self._commands(written.get("commands", []), succeeding)
        last_code, last_output = self._commands(written.get("finally", []), succeeding and code == 0)
        return Phase(name, code == last_code == 0, output + last_output)

    def _commands(self, commands: Sequence[str], succeeding: bool) -> tuple[int, str]:
        """Run commands one by one until one fails, in the shell's state that those before them left."""
        state = shlex.quote(str(self._state))
        lines = [
            f"[ -f {state} ] && . {state}",
            'cd "${_build_folder:-$CODEBUILD_SRC_DIR}" || exit 1',
            f"export CODEBUILD_BUILD_SUCCEEDING={int(succeeding)}",
            # Read-only variables of the shell itself cannot be set again.
            "trap '_build_code=$?; set +eu; _build_folder=$PWD;"
            f' {{ declare -p | grep -v "^declare -[A-Za-z]*r"; declare -f; }} > {state}; exit $_build_code\' EXIT',
            *(
                f"eval {shlex.quote(command)}; _build_code=$?; [ $_build_code -eq 0 ] || exit $_build_code"
                for command in commands
            ),
        ]
        shell = ["bash"] if self._shell == "bash" else ["bash", "--posix"]
        ended = subprocess.run(
            [*shell, "-c", "\n".join(lines)],
            cwd=self._source,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LONGEST_BUILD,
            check=False,
        )
        return ended.returncode, ended.stdout

    def _exported(self, build: Build) -> Iterator[tuple[str, str]]:
        for name in self._spec.get("env", {}).get("exported-variables", []):
            # A variable of the shell alone is none of the environment, which is where CodeBuild looks:
            # https://docs.aws.amazon.com/codebuild/latest/userguide/build-spec-ref.html#build-spec.env.exported-variables
            script = (
                f". {shlex.quote(str(self._state))}; "
                f'[[ $(declare -p {name}) =~ ^declare\\ -[A-Za-z]*x ]] && printf %s "${name}"'
            )
            ended = subprocess.run(
                ["bash", "-c", script], env=self._environment, capture_output=True, text=True, check=False
            )
            if ended.returncode:
                build.findings.append(Finding(f"env/exported-variables/{name}", "no command exports it"))
            else:
                yield name, ended.stdout

    def _artifacts(self, build: Build) -> None:
        written = self._spec.get("artifacts", {})
        wanted = {"artifacts": ("", written)} if "files" in written else {}
        for name, secondary in written.get("secondary-artifacts", {}).items():
            wanted[f"artifacts/secondary-artifacts/{name}"] = (name, secondary)
        for where, (name, artifact) in wanted.items():
            build.artifacts[name] = self._output / (name or "primary")
            build.artifacts[name].mkdir(parents=True)
            self._collect(where, artifact, build.artifacts[name], build.findings)

    def _collect(self, where: str, artifact: Mapping[str, Any], folder: Path, findings: list[Finding]) -> None:
        flat = artifact.get("discard-paths") in ("yes", True)
        bases = (
            sorted(self._source.glob(artifact["base-directory"])) if "base-directory" in artifact else [self._source]
        )
        if not bases:
            findings.append(Finding(f"{where}/base-directory", f"there is no {artifact['base-directory']}"))
        for pattern in artifact["files"]:
            matched = [(base, file) for base in bases for file in _files(base, pattern)]
            if bases and not matched:
                findings.append(Finding(f"{where}/files", f"{pattern} matches no file"))
            for base, file in matched:
                path = file.relative_to(base)
                if not any(fnmatch(str(path), excluded) for excluded in artifact.get("exclude-paths", "").split()):
                    target = folder / (path.name if flat else path)
                    if flat and target.exists() and target.read_bytes() != file.read_bytes():
                        findings.append(Finding(f"{where}/discard-paths", f"two files are called {path.name}"))
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(file, target)

    def _restore_cache(self) -> None:
        if self._project.cache.exists():
            shutil.copytree(self._project.cache / "src", self._source, dirs_exist_ok=True)
            shutil.copytree(self._project.cache / "home", self._home, dirs_exist_ok=True)

    def _keep_cache(self) -> None:
        kept = self._project.cache
        shutil.rmtree(kept, ignore_errors=True)
        for name, root in (("src", self._source), ("home", self._home)):
            (kept / name).mkdir(parents=True)
            for pattern in self._spec.get("cache", {}).get("paths", []):
                of_home = pattern.startswith("/root/")
                if of_home == (name == "home"):
                    for file in _files(root, pattern.removeprefix("/root/")):
                        target = kept / name / file.relative_to(root)
                        target.parent.mkdir(parents=True, exist_ok=True)
                        shutil.copy2(file, target)


def _files(root: Path, pattern: str) -> list[Path]:
    return sorted(path for path in root.glob(pattern) if path.is_file())

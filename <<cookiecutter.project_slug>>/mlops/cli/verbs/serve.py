"""Serve the approved model over HTTP on this machine, under SageMaker's container contract.

Runs in the foreground until Ctrl-C; with --detach in the background, replacing the version that is served there.
"""

import os
import sys
from argparse import ArgumentParser, Namespace

from mlops.base.commands import MLOPS
from mlops.base.environments import LOCAL
from mlops.endpoints.local import HOST, PORT, LocalEndpoint
from mlops.project.target import Target
from mlops.registry.adapters import registry_of
from mlops.registry.versions import version_to_use

NEEDS = ("serves",)


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options of `serve`."""
    parser.add_argument("--version", type=int, help="version to serve (default: the approved one)")
    parser.add_argument("--host", help=f"address to listen on (default: {HOST}, this machine only)")
    parser.add_argument("--port", type=int, help=f"port to listen on (default: {PORT})")
    parser.add_argument("--workers", type=int, help="worker processes (default: `serving.workers`, or one per core)")
    parser.add_argument("--environment", default=LOCAL, help="environment of the registry (default: %(default)s)")
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--detach", action="store_true", help="serve in the background, and return once the server is ready"
    )
    how.add_argument("--stop", action="store_true", help="stop the server in the background")


def run(target: Target, options: Namespace) -> int:
    """Start or stop the server, or replace the version it serves."""
    source = registry_of(target)
    endpoint = LocalEndpoint(target, source)
    if options.stop:
        stopped = endpoint.stop()
        print(f"Version {stopped.version} is no longer served." if stopped else "No server is running.")
        return 0
    version = version_to_use(source.versions(), options.version)
    overrides = {"host": options.host, "port": options.port, "workers": options.workers}
    if not options.detach:
        command = endpoint.command(version, **overrides)
        sys.stdout.flush()
        os.execv(command[0], command)
    deployment = endpoint.start(version, **overrides)
    print(f"Version {deployment.version} is served at {deployment.url}.")
    print(f"  invoke it:  {MLOPS} invoke data/request.csv")
    print(f"  stop it:    {MLOPS} serve --stop")
    print(f"  log:        {endpoint.log.relative_to(target.project.root)}")
    return 0

"""Serve a model over HTTP under SageMaker's container contract.

In a container, `python -m mlops.serving` serves the model in /opt/ml/model. On this machine, the verb `serve` passes a
folder with the settings, in which the server also keeps its state.
"""

import sys
from argparse import ArgumentParser
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from mlops.base.errors import MlopsError
from mlops.base.files import locked
from mlops.base.terminal import protect
from mlops.serving import logs
from mlops.serving.settings import Settings
from mlops.serving.state import LOCK_FILE, SETTINGS_FILE, STATE_FILE
from mlops.serving.supervisor import Supervisor

# Seconds: other processes hold the lock briefly to see whether a server is running.
_PATIENCE = 1.0


def main(arguments: list[str]) -> int:
    """Serve until stopped; return 0, or the exit code of the error that prevents the start."""
    parser = ArgumentParser(prog="python -m mlops.serving", description=__doc__)
    parser.add_argument("model", nargs="?", type=Path, help="folder of the unpacked model (default: /opt/ml/model)")
    parser.add_argument("--folder", type=Path, help=f"folder with {SETTINGS_FILE}, where the state is kept")
    options = parser.parse_args(arguments)
    logs.set_up()
    try:
        if options.folder:
            return _serve_from(options.folder)
        settings = replace(Settings(), model=options.model) if options.model else Settings()
        return Supervisor(lambda: settings, lambda state: None).run()
    except MlopsError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code


def _serve_from(folder: Path) -> int:
    with ExitStack() as stack:
        if not stack.enter_context(locked(folder / LOCK_FILE, patience=_PATIENCE)):
            raise MlopsError(f"Another server holds {folder / LOCK_FILE}.", "Stop it first.")
        (folder / STATE_FILE).unlink(missing_ok=True)  # left by a killed server
        stack.callback((folder / STATE_FILE).unlink, missing_ok=True)
        return Supervisor(lambda: Settings.read(folder / SETTINGS_FILE), lambda state: state.write(folder)).run()


if __name__ == "__main__":
    protect()
    sys.exit(main(sys.argv[1:]))

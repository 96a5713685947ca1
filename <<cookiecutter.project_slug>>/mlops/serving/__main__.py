"""Serve a model over HTTP as SageMaker expects it of a container.

In a container, `python -m mlops.serving` is all: the model stands in /opt/ml/model. On this machine, the verb `serve`
gives it a folder with its settings, in which it also keeps its state.
"""

import sys
from argparse import ArgumentParser
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from mlops.base.errors import MlopsError
from mlops.base.files import locked
from mlops.serving import logs
from mlops.serving.settings import Settings
from mlops.serving.state import LOCK_FILE, SETTINGS_FILE, STATE_FILE
from mlops.serving.supervisor import Supervisor

# Others look at the lock, for a moment, to see whether a server runs.
_PATIENCE = 1.0


def main(arguments: list[str]) -> int:
    """Serve until told to end; 0, or 1 when the server cannot be started."""
    parser = ArgumentParser(prog="python -m mlops.serving", description=__doc__)
    parser.add_argument("model", nargs="?", type=Path, help="folder of the unpacked model (default: /opt/ml/model)")
    parser.add_argument("--folder", type=Path, help=f"folder with {SETTINGS_FILE}, to keep the state in")
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
            raise MlopsError(f"Another server holds {folder / LOCK_FILE}.", "End it first.")
        (folder / STATE_FILE).unlink(missing_ok=True)  # of a server that was killed
        stack.callback((folder / STATE_FILE).unlink, missing_ok=True)
        return Supervisor(lambda: Settings.read(folder / SETTINGS_FILE), lambda state: state.write(folder)).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

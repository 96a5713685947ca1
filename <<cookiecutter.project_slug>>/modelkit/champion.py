"""Scoring with another version of the model, by the code in its archive, in a separate process."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from modelkit import scoring
from modelkit.archives import CODE_FOLDER
from modelkit.dataset import write_parquet
from modelkit.job import JobError

# Imports come from the archive, not from the folder of the script or from PYTHONPATH.
_RUN = "import runpy, sys; sys.path[0] = sys.argv.pop(1); runpy.run_path(sys.argv.pop(1), run_name='__main__')"

_LONGEST_REASON = 500


def predictions(folder: Path, table: Any, target: str) -> npt.NDArray[np.float32]:
    """Return the n predictions of the model in an unpacked archive for the n rows of an Arrow table.

    Args:
        folder: The unpacked archive.
        table: The rows, with all columns as they were read. A row that the model does not take, because a value is not
            of its type or of its categories, gets the prediction NaN.
        target: The name of the column to predict.

    Raises:
        JobError: The model cannot score these rows; the message is that of the archive's code.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with tempfile.TemporaryDirectory() as temporary:
        rows, output = Path(temporary) / "rows.parquet", Path(temporary) / "predictions.npy"
        write_parquet(table, rows)
        arguments = (folder / CODE_FOLDER, scoring.__file__, folder, target, rows, output)
        command = [sys.executable, "-c", _RUN, *map(str, arguments)]
        result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if result.returncode:
            lines = result.stderr.strip().splitlines() or [f"its process exited with status {result.returncode}"]
            raise JobError(f"{lines[-1]:.{_LONGEST_REASON}}")
        return np.asarray(np.load(output), dtype=np.float32)

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


def predictions(folder: Path, table: Any) -> npt.NDArray[np.float32]:
    """Return the n predictions of the model in an unpacked archive for the n rows of an Arrow table.

    Raises:
        JobError: The model cannot score these rows; the message is that of the archive's code.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with tempfile.TemporaryDirectory() as temporary:
        rows, output = Path(temporary) / "rows.parquet", Path(temporary) / "predictions.npy"
        write_parquet(table, rows)
        paths = (folder / CODE_FOLDER, scoring.__file__, folder, rows, output)
        command = [sys.executable, "-c", _RUN, *map(str, paths)]
        result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if result.returncode:
            lines = result.stderr.strip().splitlines() or [f"its process exited with status {result.returncode}"]
            raise JobError(lines[-1])
        found = np.load(output)
    if found.shape != (table.num_rows,):
        raise JobError(f"it returns predictions of shape {found.shape} for {table.num_rows} rows")
    return np.asarray(found, dtype=np.float32)

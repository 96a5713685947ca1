"""`python -m mlops VERB`: everything a project can do."""

import sys

from mlops.base.terminal import protect
from mlops.cli import standard_streams
from mlops.cli.main import main

if __name__ == "__main__":
    standard_streams.complete()
    protect()
    sys.exit(main(sys.argv[1:]))

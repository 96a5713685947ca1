"""`python -m mlops VERB`: everything a project can do."""

import sys

from mlops.cli.main import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

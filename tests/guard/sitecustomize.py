"""Python imports this at its start when the folder is on PYTHONPATH: child processes get the same guard."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
import network

sys.path.pop(0)
network.refuse_beyond_loopback()

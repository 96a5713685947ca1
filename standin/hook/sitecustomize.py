"""Python imports this at its start when the folder is on PYTHONPATH: child processes get the guards of the tests.

The network beyond loopback is refused; with PROOF_CALLS set, calls of boto3 are recorded.
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(__file__))))  # noqa: PTH120  # pathlib costs 5 ms
from standin import network

network.refuse_beyond_loopback()
if "PROOF_CALLS" in os.environ:
    from standin import recording

    recording.install()
sys.path.pop(0)

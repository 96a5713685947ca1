import socket
import subprocess
import sys

import pytest

from standin import network
from standin.calls import HOOK


@pytest.mark.parametrize("address", [("192.0.2.1", 80), ("example.com", 80), ("2001:db8::1", 80)])
def test_a_test_that_leaves_this_machine_fails(address: tuple[str, int]) -> None:
    with pytest.raises(network.NetworkRefusedError):
        socket.create_connection(address, timeout=1)
    with pytest.raises(network.NetworkRefusedError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagram:
        datagram.sendto(b"x", ("192.0.2.1", 53))


def test_a_child_process_that_leaves_this_machine_fails() -> None:
    code = "import socket; socket.create_connection(('192.0.2.1', 80), timeout=1)"
    result = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(HOOK)}, capture_output=True, text=True, check=False
    )
    assert "NetworkRefusedError" in result.stderr


def test_loopback_is_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname(), timeout=1).close()

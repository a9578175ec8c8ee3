"""The broker's ROUTER socket on an event loop: a private ipc endpoint, read through its file descriptor.

That descriptor is edge-triggered: it fires once for any number of messages, and a send may swallow the edge. So after
every read and after every send the socket itself is asked whether more is there (zmq_getsockopt(3), ZMQ_FD).
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import zmq

from protocols.inference import Payload

log = logging.getLogger(__name__)

_BATCH: Final = 64
_COPY_BYTES: Final = 64 * 1024
_PATH_BYTES: Final = 100
_PREFIX: Final = "parley-shard-"


class Router:
    """Open from construction to `close`; `received` gets each message, the sender's identity in front."""

    def __init__(self, loop: asyncio.AbstractEventLoop, received: Callable[[Sequence[bytes]], None]) -> None:
        self._loop = loop
        self._received = received
        self._folder = _private_folder()
        self._lock = _hold(self._folder)
        self.endpoint = f"ipc://{self._folder / 'shard'}"
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.bind(self.endpoint)
        self._descriptor = int(self._socket.getsockopt(zmq.FD))
        self._again: asyncio.Handle | None = None
        self._closed = False
        loop.add_reader(self._descriptor, self._readable)

    def __repr__(self) -> str:
        return f"<Router {self.endpoint}{' closed' if self._closed else ''}>"

    def send(self, frames: Sequence[Payload], size: int = 0) -> bool:
        """Send one message, the receiver's identity in front; False where it cannot be reached or takes no more.

        `size` is that of the payload: from 64 KiB on the frames are handed to the socket without a copy.
        """
        if self._closed:
            return False
        try:
            self._socket.send_multipart(frames, zmq.NOBLOCK, copy=size < _COPY_BYTES)
        except zmq.ZMQError as error:
            log.debug("%r cannot be sent to: %s", frames[0], error)
            return False
        finally:
            self._look_again()
        return True

    def close(self) -> None:
        """Close the socket and remove its folder. What was not sent is dropped."""
        if self._closed:
            return
        self._closed = True
        self._loop.remove_reader(self._descriptor)
        if self._again is not None:
            self._again.cancel()
        self._context.destroy(linger=0)
        shutil.rmtree(self._folder, ignore_errors=True)
        os.close(self._lock)

    def _look_again(self) -> None:
        if self._again is None and int(self._socket.getsockopt(zmq.EVENTS)) & zmq.POLLIN:
            self._again = self._loop.call_soon(self._readable)

    def _readable(self) -> None:
        """Read a bounded batch, so that a flood of answers does not hold the loop."""
        if self._again is not None:
            self._again.cancel()
            self._again = None
        for _ in range(_BATCH):
            try:
                frames = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            try:
                self._received(frames)
            except Exception:  # the descriptor will not fire again for what is left, so the reading must go on
                log.exception("a message from a worker could not be handled")
            if self._closed:
                return
        self._look_again()


def _private_folder() -> Path:
    """A new folder that only this user enters. A socket's path has about 100 bytes at most (unix(7)).

    A process that was killed cannot remove its folder, so the next one to come does.
    """
    _remove_leftovers(Path(tempfile.gettempdir()))
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    if len(str(folder / "shard").encode()) <= _PATH_BYTES:
        return folder
    folder.rmdir()
    _remove_leftovers(Path("/tmp"))
    return Path(tempfile.mkdtemp(prefix=_PREFIX, dir="/tmp"))


def _hold(folder: Path) -> int:
    """Lock a folder for as long as this process lives, and say so to whoever looks for leftovers."""
    draft = folder / "lock.new"
    lock = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    draft.rename(folder / "lock")  # seen only once it is held
    return lock


def _remove_leftovers(place: Path) -> None:
    for folder in place.glob(f"{_PREFIX}*"):
        try:
            lock = os.open(folder / "lock", os.O_RDWR)
        except OSError:
            continue  # another user's, or one that is being made just now
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            continue  # its process lives
        else:
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(lock)

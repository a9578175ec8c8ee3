"""A Lua script, called by its hash and sent in full when the server does not know it: new, restarted, or flushed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Final

from redis.exceptions import NoScriptError

from runtime.redis.cancellation import heed_cancellation
from runtime.redis.clients import AsyncClient, BlockingClient
from runtime.redis.failures import translated

Argument = str | bytes | int | float


class Script:
    """A script is atomic and runs on the server: a NOSCRIPT answer means that nothing of it has happened."""

    __slots__ = ("_sha", "_text")

    def __init__(self, text: str) -> None:
        self._text: Final = text
        self._sha: Final = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()

    async def run(self, client: AsyncClient, keys: Sequence[str], arguments: Sequence[Argument]) -> Any:
        """Run it once. Raises ParleyErrors: Unavailable leaves open whether it ran."""
        with translated():
            try:
                answer = await client.evalsha(self._sha, len(keys), *keys, *arguments)
            except NoScriptError:
                answer = await client.eval(self._text, len(keys), *keys, *arguments)
        heed_cancellation()
        return answer

    def run_blocking(self, client: BlockingClient, keys: Sequence[str], arguments: Sequence[Argument]) -> Any:
        """The same from a thread."""
        with translated():
            try:
                return client.evalsha(self._sha, len(keys), *keys, *arguments)
            except NoScriptError:
                return client.eval(self._text, len(keys), *keys, *arguments)

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.runtime.gateway.harness import Edge, running


@pytest.fixture
async def edge() -> AsyncIterator[Edge]:
    async with running() as started:
        yield started

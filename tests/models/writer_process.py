"""A process that stores users in the SQLite file given, and prints `stored NAME` after each that was acknowledged."""

from __future__ import annotations

import asyncio
import sys

from models.sqlite import open_sqlite
from tests.models.samples import NOON, new_user


async def write(path: str, prefix: str, count: int) -> None:
    stores = await open_sqlite(path, clock=lambda: NOON)
    try:
        for number in range(count):
            made = await stores.users.create(new_user(f"{prefix}.{number}"))
            print("stored", made.username, flush=True)
    finally:
        await stores.close()


if __name__ == "__main__":
    asyncio.run(write(sys.argv[1], sys.argv[2], int(sys.argv[3])))

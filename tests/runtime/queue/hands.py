"""A queue in the hands of a test: short words for taking in, claiming, settling, and waiting until a thing is so."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from itertools import count

from protocols import task_message
from protocols.task_message import Priority
from protocols.tasks import UserLogin, UserProfileUpdate, UserStatusChange
from runtime.queue import TaskQueue
from runtime.queue.task_queue import Claim, Entry, Exchange, Exchanged, Intake, Lease, Renewal, Settlement

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ROOMS = {"user.status_change": 1000, "user.profile_update": 1000, "user.login": 1000}
STATUS = UserStatusChange(user_id=1, status="away")
PROFILE = UserProfileUpdate(user_id=1, updates={"full_name": "Ada"})
LOGIN = UserLogin(user_id=1, username="ada", ip_address="::1", login_time=NOON)


def entry(
    task_id: str,
    payload: object = STATUS,
    *,
    priority: Priority | None = None,
    max_retries: int | None = None,
    visibility_s: float | None = None,
    delay_s: float = 0.0,
    due: datetime | None = None,
    key: str = "",
) -> Entry:
    message = task_message.message(
        payload,
        id=task_id,
        timestamp=NOON,
        source="test",
        priority=priority,
        max_retries=max_retries,
        visibility_timeout_s=visibility_s,
    )
    return Entry(task_id, message.priority, task_message.encode(message), delay_s, due, key)


async def until(condition: Callable[[], Awaitable[object]], within_s: float = 10.0) -> None:
    """Ask again and again until it is so."""
    async with asyncio.timeout(within_s):
        while not await condition():  # noqa: ASYNC110 - the condition lies in a server
            await asyncio.sleep(0.01)


class Hands:
    """Each call is that of a caller of its own, unless it says whose."""

    def __init__(self, tasks: TaskQueue) -> None:
        self.tasks = tasks
        self._numbers = count(1)

    async def put(self, *entries: Entry) -> tuple[str | None, ...]:
        return await self.tasks.take_in(Intake("producer", next(self._numbers), entries))

    async def put_ids(self, *ids: str, **given: object) -> None:
        assert await self.put(*(entry(one, **given) for one in ids)) == ids  # type: ignore[arg-type]

    async def exchange(
        self, *settlements: Settlement, batch: int = 0, rooms: dict[str, int] | None = None, caller: str = "worker"
    ) -> Exchanged:
        given = ROOMS if rooms is None else rooms
        return await self.tasks.exchange(Exchange(caller, next(self._numbers), settlements, batch, given))

    async def claim(self, batch: int = 1, rooms: dict[str, int] | None = None) -> list[Claim]:
        return list((await self.exchange(batch=batch, rooms=rooms)).claims)

    async def claim_ids(self, batch: int = 1, rooms: dict[str, int] | None = None) -> list[str]:
        return [claim.id for claim in await self.claim(batch, rooms)]

    async def settle(self, *settlements: Settlement) -> tuple[str, ...]:
        """The ids that were refused."""
        return (await self.exchange(*settlements)).refused

    async def claim_soon(self, task_id: str, within_s: float = 10.0) -> Claim:
        """Claim, as soon as this one task can be had."""
        found: list[Claim] = []

        async def had() -> bool:
            found.extend(await self.claim(10))
            return bool(found)

        await until(had, within_s)
        assert [one.id for one in found] == [task_id]
        return found[0]

    async def renew(self, leases: Sequence[Lease]) -> Renewal:
        """As a worker's thread does it."""
        renewer = self.tasks.renewer()

        def once() -> Renewal:
            try:
                return renewer.renew(leases)
            finally:
                renewer.close()

        return await asyncio.to_thread(once)

    def retries(self, claim: Claim) -> int:
        return task_message.decode(claim.text).retry_count

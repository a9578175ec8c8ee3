"""The task queue in Redis: lists by the contract's names, every transition one Lua script.

The scripts are idempotent, so a call whose reply was lost may be sent again; nothing else is ever repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from random import Random
from typing import Any, Final

from protocols import task_message
from protocols.errors import NotFound, ParleyError
from protocols.task_message import Priority
from runtime.queue import redis_keys as scripts
from runtime.queue.limits import QueueLimits
from runtime.queue.redis_renewer import RedisRenewer
from runtime.queue.task_queue import (
    Buried,
    Cancellation,
    Claim,
    Completed,
    DeadLetter,
    Depths,
    Exchange,
    Exchanged,
    Failed,
    GivenBack,
    Intake,
    Moved,
    Renewer,
    Settlement,
    State,
    TaskQueue,
    TaskStatus,
)
from runtime.redis import Listener, RedisClients, Script, translated
from runtime.redis.scripts import Argument

ADOPTED_AT_ONCE: Final = 100
MOVED_AT_ONCE: Final = 500


class RedisQueue(TaskQueue):
    """A queue in the Redis of `clients`, which it owns from here on."""

    def __init__(
        self, clients: RedisClients, *, rng: Random, prefix: str = "", limits: QueueLimits | None = None
    ) -> None:
        self._clients = clients
        self._rng = rng
        self._limits = limits or QueueLimits()
        self._prefix = scripts.prefix_for(prefix, cluster=clients.is_cluster)
        self._keys = scripts.key_names(self._prefix)
        self._foreign = False

    @property
    def keys(self) -> tuple[str, ...]:
        """The names of its fixed keys."""
        return self._keys

    async def take_in(self, intake: Intake) -> tuple[str | None, ...]:
        """Take tasks in."""
        arguments: list[Argument] = [intake.caller, intake.number, self._limits.waiting]
        arguments.append(_ms(self._limits.key_ttl_s))
        for entry in intake.entries:
            due_ms = 0 if entry.due is None else int(entry.due.timestamp() * 1000)
            arguments += (entry.id, entry.priority.value, _ms(entry.delay_s), due_ms, entry.key, entry.text)
        answers = await self._run(scripts.ENQUEUE, *arguments)
        return tuple(answer.decode() or None for answer in answers)

    async def exchange(self, exchange: Exchange) -> Exchanged:
        """Settle, tidy up, claim."""
        if self._foreign:
            await self._adopt()
        arguments: list[Argument] = [exchange.caller, exchange.number, len(exchange.settlements)]
        for settlement in exchange.settlements:
            arguments += _settled(settlement)
        arguments += (exchange.batch, self._limits.own_slot_every)
        for name, room in exchange.rooms.items():
            arguments += (name, room)
        found, refused, due_ms, foreign = await self._run(scripts.EXCHANGE, *arguments)
        self._foreign = foreign > 0
        claims = tuple(
            Claim(_id_of(text), int(fence), text) for text, fence in zip(found[::2], found[1::2], strict=True)
        )
        due_in_s = 0.0 if foreign else None if due_ms < 0 else due_ms / 1000
        return Exchanged(claims, tuple(one.decode() for one in refused), due_in_s)

    def renewer(self) -> Renewer:
        """A keeper of leases with a connection of its own."""
        return RedisRenewer(self._clients.for_thread(), self._keys, self._fixed())

    async def note_progress(self, progress: Sequence[tuple[Claim, bytes]]) -> None:
        """Note how far claimed tasks are."""
        arguments: list[Argument] = []
        for claim, value in progress:
            arguments += (claim.id, claim.fence, value)
        await self._run(scripts.PROGRESS, *arguments)

    async def cancel(self, task_id: str) -> Cancellation:
        """Cancel a task."""
        answer = (await self._run(scripts.CANCEL, task_id)).decode()
        if answer == "unknown":
            raise NotFound(f"no task {task_id[:128]!r} waits or runs")
        return Cancellation(answer)

    async def status(self, task_id: str) -> TaskStatus:
        """What is known of a task."""
        state, progress, result, reason = await self._run(scripts.STATUS, task_id)
        if state == b"unknown":
            raise NotFound(f"nothing is known of a task {task_id[:128]!r}")
        return TaskStatus(task_id, State(state.decode()), progress or None, result or None, reason.decode() or None)

    async def depths(self) -> Depths:
        """How many tasks are where. A cancelled task counts until its turn would have come."""
        (*waiting, processing, dead, delayed, foreign), parked, counts = await self._run(scripts.DEPTHS)
        by_priority = dict(zip(Priority, waiting, strict=True))
        by_type: dict[str, int] = {}
        for name, number in _pairs(parked).items():
            priority, _, kind = name.partition(" ")
            by_priority[Priority(priority)] += number
            by_type[kind] = by_type.get(kind, 0) + number
        return Depths(by_priority, delayed, processing, dead, foreign, by_type, _pairs(counts))

    async def dead_letters(self, *, offset: int = 0, limit: int = 100) -> tuple[DeadLetter, ...]:
        """Dead letters, the newest first."""
        return _letters(await self._run(scripts.DEAD, "list", "", offset, limit))

    async def dead_letter(self, task_id: str) -> DeadLetter:
        """One dead letter."""
        found = _letters(await self._run(scripts.DEAD, "find", task_id, 0, 1))
        if not found:
            raise NotFound(f"no dead letter has the id {task_id[:128]!r}")
        return found[0]

    async def replay(self, task_id: str | None = None) -> Moved:
        """Let dead tasks wait again."""
        return await self._move("replay", task_id)

    async def drop(self, task_id: str | None = None) -> Moved:
        """Throw dead letters away."""
        return await self._move("drop", task_id)

    async def listen(self, woken: Callable[[], None], cancelled: Callable[[str], None]) -> None:
        """Hear what is published; after a gap in the connection there may be anything."""

        def heard(_: str, data: bytes) -> None:
            word, _, task_id = data.decode().partition(" ")
            if word == "cancel":
                cancelled(task_id)
            else:
                woken()

        await Listener(self._clients, [f"{self._prefix}queue:wake"], heard, woken, self._rng).run()

    async def close(self) -> None:
        """Close the connections."""
        await self._clients.aclose()

    def _fixed(self) -> tuple[Argument, ...]:
        return (self._prefix, self._limits.dead)

    async def _run(self, script: Script, *arguments: Argument) -> Any:
        return await script.run(self._clients.commands, self._keys, (*self._fixed(), *arguments))

    async def _move(self, act: str, task_id: str | None) -> Moved:
        if task_id is not None:
            await self.dead_letter(task_id)
            moved, refused = await self._run(scripts.DEAD, act, task_id, 0, 1)
            return Moved(moved, tuple(one.decode() for one in refused))
        # Only as many as there are now: what is replayed may die again, and come back, while this goes on.
        open_ = (await self.depths()).dead
        total, left = 0, list[str]()
        while open_ > 0:
            # What cannot be moved stays at the old end of the list, and is stepped over.
            moved, refused = await self._run(scripts.DEAD, act, "", len(left), min(open_, MOVED_AT_ONCE))
            total += moved
            left += [one.decode() for one in refused]
            open_ -= moved + len(refused) or open_
        return Moved(total, tuple(left))

    async def _adopt(self) -> None:
        """Bring what others have pushed into our form, or bury it with what is wrong with it."""
        arguments: list[Argument] = []
        with translated():
            texts = await self._clients.commands.lrange(f"{self._prefix}queue:foreign", -ADOPTED_AT_ONCE, -1)
        for text in reversed(texts):
            try:
                arguments += (text, task_message.canonical(text), "it cannot be brought into our form")
            except ParleyError as error:
                arguments += (text, b"", error.detail[:500])
        if arguments:
            await self._run(scripts.ADOPT, *arguments)


def _settled(settlement: Settlement) -> tuple[Argument, ...]:
    claim = settlement.claim
    match settlement:
        case Completed(result=result, result_ttl_s=ttl_s):
            return ("c", claim.id, claim.fence, result, _ms(ttl_s))
        case Failed(reason=reason, delay_s=delay_s):
            return ("f", claim.id, claim.fence, _ms(delay_s), reason)
        case Buried(reason=reason):
            return ("d", claim.id, claim.fence, reason, "")
        case GivenBack():
            return ("r", claim.id, claim.fence, "", "")
        case _:
            return ("x", claim.id, claim.fence, "", "")


def _id_of(text: bytes) -> str:
    """From `{"id":"ID",...`, the form in which alone a task is claimed."""
    return text[7 : text.index(b'"', 7)].decode()


def _pairs(flat: Sequence[bytes]) -> Mapping[str, int]:
    return {name.decode(): int(value) for name, value in zip(flat[::2], flat[1::2], strict=True)}


def _letters(flat: Sequence[bytes]) -> tuple[DeadLetter, ...]:
    return tuple(
        DeadLetter(
            task_id.decode(),
            datetime.fromtimestamp(int(died_ms) / 1000, UTC),
            reason.decode(errors="replace"),
            text,
        )
        for task_id, died_ms, reason, text in zip(flat[::4], flat[1::4], flat[2::4], flat[3::4], strict=True)
    )


def _ms(seconds: float) -> int:
    return round(seconds * 1000)

"""A small node for tests: the real engine, real stores, real passwords at a low price, topics that only write down."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

from actors import kinds
from actors.attempts import AttemptLimit
from actors.errands import Tasks
from actors.issuer import Issuer, TokenLives
from actors.kinds import Domain, Topics
from actors.meeting import MeetingLimits
from actors.passwords import HashCost, PasswordHasher
from actors.room import RoomLimits
from actors.shard import Broker, ShardDeps
from models.stores import Stores
from protocols.accounts import LoggedIn, LogIn, Register, UserView, account_id
from protocols.ai import Task
from protocols.errors import Unavailable
from protocols.events import Topic
from protocols.ice import IceServer
from protocols.meetings import Admission, CreateMeeting, JoinMeeting, MeetingSettings, MeetingView, StartMeeting
from protocols.tokens import TokenSigner
from runtime.engine import ActorSystem, LoopClock, Ref
from runtime.engine.clock import Handle

T = TypeVar("T")

CHEAP: Final = HashCost(rounds=1, memory_kib=8)
PASSWORD: Final = "correct horse"
SOON_S: Final = 10.0
_POLL_S: Final = 0.002
SECRET: Final = b"0123456789abcdef0123456789abcdef"
START: Final = datetime(2030, 1, 1, 12, tzinfo=UTC)


class SkippingClock:
    """The loop's clock, which a test may put forward."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._inner = LoopClock(loop)
        self._zero = self._inner.time()
        self._skipped_s = 0.0

    def time(self) -> float:
        return self._inner.time() + self._skipped_s

    def call_at(self, when: float, callback: Callable[[], object]) -> Handle:
        return self._inner.call_at(when - self._skipped_s, callback)

    def now(self) -> datetime:
        return START + timedelta(seconds=self.time() - self._zero)

    def skip(self, seconds: float) -> None:
        self._skipped_s += seconds


class RecordingTopics:
    """Keeps what is published, and hands nothing on. `away` makes it refuse."""

    def __init__(self) -> None:
        self.events: list[object] = []
        self.subscribers: list[tuple[Topic, str, Ref]] = []
        self.away = False

    def subscribe_durable(self, topic: Topic, group: str, subscriber: Ref) -> None:
        self.subscribers.append((topic, group, subscriber))

    async def publish(self, event: object) -> None:
        if self.away:
            raise Unavailable("the journal is away")
        await asyncio.sleep(0)
        self.events.append(event)

    def of(self, kind: type[T]) -> list[T]:
        return [event for event in self.events if isinstance(event, kind)]


class RecordingTasks:
    """Keeps what is enqueued. `away`: refuses it."""

    def __init__(self) -> None:
        self.kept: list[object] = []
        self.away = False

    async def enqueue(self, payload: object) -> None:
        if self.away:
            raise Unavailable("the queue is away")
        self.kept.append(payload)


@dataclass(slots=True)
class World:
    """A node and the ways to talk to it."""

    system: ActorSystem
    stores: Stores
    clock: SkippingClock
    hasher: PasswordHasher
    topics: RecordingTopics = field(default_factory=RecordingTopics)
    tasks: RecordingTasks = field(default_factory=RecordingTasks)
    signer: TokenSigner = field(default_factory=lambda: TokenSigner(SECRET))
    issuer: Issuer = field(init=False)
    _users: int = 0

    def __post_init__(self) -> None:
        self.issuer = Issuer(self.signer, TokenLives(access_ttl_s=60, refresh_ttl_s=3600, join_ttl_s=600))

    def define(
        self,
        *,
        make_broker: Callable[[], Broker] | None = None,
        topics: Topics | None = None,
        tasks: Tasks | None = None,
    ) -> None:
        """Carry every kind, as a node does."""
        domain = Domain(
            stores=self.stores,
            hasher=self.hasher,
            issuer=self.issuer,
            topics=topics or self.topics,
            tasks=tasks or self.tasks,
            shards={Task.SPEECH_RECOGNITION: ShardDeps(make_broker)} if make_broker else {},
            ice_servers=(IceServer(("stun:stun.example:3478",)),),
            logins=AttemptLimit(most=3, window_s=60.0),
            meetings=MeetingLimits(passwords=AttemptLimit(most=3, window_s=60.0)),
            rooms=RoomLimits(vacant_s=0.05),
        )
        kinds.carry(self.system, domain)

    async def ask(self, kind: str, entity_id: object, message: object) -> Any:
        return await self.system.entity(kind, str(entity_id)).ask(message, SOON_S)

    def ref(self, kind: str, entity_id: object) -> Ref:
        return self.system.entity(kind, str(entity_id))

    def active(self, kind: str, entity_id: object) -> bool:
        return self.system.entities.active(kind, str(entity_id)) is not None

    # ---- the usual beginnings

    async def register(self, username: str, password: str = PASSWORD) -> UserView:
        message = Register(username, f"{account_id(username)}@example.org", password)
        view: UserView = await self.ask("account", account_id(username), message)
        return view

    async def log_in(self, username: str, password: str = PASSWORD) -> LoggedIn:
        found: LoggedIn = await self.ask("account", account_id(username), LogIn(username, password, "192.0.2.1"))
        return found

    async def plan(self, host: UserView, **parts: Any) -> MeetingView:
        view: MeetingView = await self.ask("planner", host.id, draft(**parts))
        return view

    async def started(self, host: UserView, **parts: Any) -> MeetingView:
        """A meeting that goes on."""
        planned = await self.plan(host, **parts)
        view: MeetingView = await self.ask("meeting", planned.id, StartMeeting(host.id))
        return view

    async def join(self, meeting: MeetingView, user: UserView, password: str = "") -> Admission:
        found: Admission = await self.ask("meeting", meeting.id, JoinMeeting(user.id, user.username, password))
        return found


def draft(**parts: Any) -> CreateMeeting:
    """A meeting to be, of which a test names what it cares about."""
    usual: dict[str, Any] = {
        "title": "Standup",
        "description": "",
        "start_time": START,
        "end_time": None,
        "max_participants": 10,
        "meeting_type": "video",
        "settings": MeetingSettings(),
    }
    return CreateMeeting(**{**usual, **parts})


async def settles(condition: Callable[[], bool]) -> None:
    """Wait until the condition holds; fail when it takes too long."""
    async with asyncio.timeout(SOON_S):
        while not condition():  # noqa: ASYNC110 (what is waited for has no event)
            await asyncio.sleep(_POLL_S)

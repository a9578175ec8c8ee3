"""Every kind of entity that the domain has, with what each is made of and how it is supervised, in one place.

The order matters at the end of a node: kinds stop in the reverse of it, so that clients go before the rooms they are
in, and requests before the models that they wait for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Protocol

from actors import analysis, archive, news, peer, room, shard
from actors.account import Account, AccountDeps
from actors.attempts import AttemptLimit
from actors.errands import Tasks
from actors.issuer import Issuer
from actors.meeting import Meeting, MeetingDeps, MeetingLimits
from actors.passwords import PasswordHasher
from actors.planner import Planner, PlannerDeps
from actors.user import User, UserDeps
from models.stores import Stores
from protocols.ai import Task
from protocols.errors import Unimplemented
from protocols.ice import IceServer
from runtime.engine import ActorSystem, Options

REST_AFTER_S: Final = 30.0
"""How soon an actor goes that keeps nothing in memory, or only what it can load again in a moment."""

FOR_ONE: Final = Options(capacity=256)
"""For those who serve one person: whoever has so many requests waiting gets no more of them in."""


class Topics(news.Topics, archive.Topics, Protocol):
    """What the domain needs of `runtime.topics.Topics`."""


@dataclass(frozen=True, slots=True)
class Domain:
    """What the domain stands on. `shards` has the workers of each AI task that this node carries."""

    stores: Stores
    topics: Topics
    tasks: Tasks
    hasher: PasswordHasher
    issuer: Issuer
    shards: Mapping[Task, shard.ShardDeps]
    ice_servers: tuple[IceServer, ...] = ()
    recognition_timeout_s: float = 60.0
    logins: AttemptLimit = field(default_factory=AttemptLimit)
    meetings: MeetingLimits = field(default_factory=MeetingLimits)
    rooms: room.RoomLimits = field(default_factory=room.RoomLimits)
    peers: peer.PeerLimits = field(default_factory=peer.PeerLimits)


def carry(system: ActorSystem, domain: Domain) -> None:
    """Define every kind, start the shards' workers, and let the archive catch up with what it missed."""
    _people(system, domain)
    _meetings(system, domain)
    _intelligence(system, domain)
    _signaling(system, domain)
    archive.subscribe(system, domain.topics)


def _people(system: ActorSystem, domain: Domain) -> None:
    users, sessions = domain.stores.users, domain.stores.sessions
    of_account = AccountDeps(users, sessions, domain.hasher, domain.issuer, domain.topics, domain.tasks, domain.logins)
    of_user = UserDeps(users, sessions, domain.issuer, domain.topics)
    define = system.entities.define
    define("account", partial(Account, deps=of_account), options=FOR_ONE, rest_after_s=REST_AFTER_S)
    define("user", partial(User, deps=of_user), options=FOR_ONE, rest_after_s=REST_AFTER_S)


def _meetings(system: ActorSystem, domain: Domain) -> None:
    stores = domain.stores
    of_planner = PlannerDeps(stores.meetings, domain.hasher, domain.topics)
    of_meeting = MeetingDeps(
        meetings=stores.meetings,
        transcripts=stores.transcripts,
        analyses=stores.analyses,
        users=stores.users,
        hasher=domain.hasher,
        issuer=domain.issuer,
        topics=domain.topics,
        ice_servers=domain.ice_servers,
        limits=domain.meetings,
    )
    of_archive = archive.ArchiveDeps(stores.meetings, stores.transcripts, stores.analyses)
    define = system.entities.define
    define("planner", partial(Planner, deps=of_planner), options=FOR_ONE, rest_after_s=REST_AFTER_S)
    define("meeting", partial(Meeting, deps=of_meeting), rest_after_s=REST_AFTER_S)
    define("archive", partial(archive.Archive, deps=of_archive))


def _intelligence(system: ActorSystem, domain: Domain) -> None:
    workers = {task.value: deps for task, deps in domain.shards.items()}

    def make_shard(task: str) -> shard.Shard:
        return shard.Shard(task, workers.get(task, shard.ShardDeps(_no_workers)))

    # A shard that rested would have no workers: it never does, and it starts with the node.
    system.entities.define("shard", make_shard, options=shard.OPTIONS, rest_after_s=None)
    for task in workers:
        system.cell_of(system.entity("shard", task))
    of_analysis = analysis.AnalysisDeps(domain.topics, domain.recognition_timeout_s)
    system.entities.define("analysis", partial(analysis.Analysis, deps=of_analysis), options=analysis.OPTIONS)


def _signaling(system: ActorSystem, domain: Domain) -> None:
    of_room = room.RoomDeps(domain.topics, domain.rooms)
    define = system.entities.define
    define("room", partial(room.Room, deps=of_room), supervision=room.SUPERVISION)
    define("peer", partial(peer.Peer, limits=domain.peers), options=peer.OPTIONS, supervision=peer.SUPERVISION)


def _no_workers() -> shard.Broker:
    raise Unimplemented("this node carries no models for that task")

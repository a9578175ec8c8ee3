"""Every kind of entity that the domain has, defined on a system in one place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from actors import analysis, archive, peer, room, shard
from actors.account import Account, AccountDeps
from actors.issuer import Issuer
from actors.meeting import Meeting, MeetingDeps
from actors.passwords import PasswordHasher
from actors.planner import Planner, PlannerDeps
from actors.user import User, UserDeps
from models.stores import Stores
from protocols.ai import Task
from runtime.engine import ActorSystem
from runtime.topics import Topics


@dataclass(frozen=True, slots=True)
class Domain:
    """What the domain stands on. `shards` has the workers of each AI task that this node carries."""

    stores: Stores
    topics: Topics
    hasher: PasswordHasher
    issuer: Issuer
    shards: Mapping[Task, shard.ShardDeps]
    ice_servers: tuple[str, ...] = ()
    recognition_timeout_s: float = 60.0


def carry(system: ActorSystem, domain: Domain) -> None:
    """Define every kind, start the shards' workers, and let the archive catch up with what it missed."""
    _people(system, domain)
    _meetings(system, domain)
    _signaling(system, domain)
    _intelligence(system, domain)
    archive.subscribe(system, domain.topics)


def _people(system: ActorSystem, domain: Domain) -> None:
    users, sessions = domain.stores.users, domain.stores.sessions
    of_account = AccountDeps(users, sessions, domain.hasher, domain.issuer, domain.topics)
    of_user = UserDeps(users, sessions, domain.issuer, domain.topics)
    system.entities.define("account", partial(Account, deps=of_account))
    system.entities.define("user", partial(User, deps=of_user))


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
    )
    of_archive = archive.ArchiveDeps(stores.meetings, stores.transcripts, stores.analyses)
    system.entities.define("planner", partial(Planner, deps=of_planner))
    system.entities.define("meeting", partial(Meeting, deps=of_meeting))
    system.entities.define("archive", partial(archive.Archive, deps=of_archive))


def _signaling(system: ActorSystem, domain: Domain) -> None:
    of_room = room.RoomDeps(domain.topics)
    system.entities.define("room", partial(room.Room, deps=of_room), supervision=room.SUPERVISION)
    system.entities.define("peer", partial(peer.Peer, limits=peer.PeerLimits()), supervision=peer.SUPERVISION)


def _intelligence(system: ActorSystem, domain: Domain) -> None:
    of_analysis = analysis.AnalysisDeps(domain.topics, domain.recognition_timeout_s)
    system.entities.define("analysis", partial(analysis.Analysis, deps=of_analysis), options=analysis.OPTIONS)

    def make_shard(task: str) -> shard.Shard:
        return shard.Shard(task, domain.shards[Task(task)])

    # A shard that rested would have no workers: it never does, and it starts with the node.
    system.entities.define("shard", make_shard, options=shard.OPTIONS, rest_after_s=None)
    for task in domain.shards:
        system.cell_of(system.entity("shard", task.value))

"""Clients of signaling for tests, and a meeting that answers as it is told: rooms and peers without stores."""

from __future__ import annotations

from typing import Any, TypeVar

from actors import peer, room
from actors.peer import Peer, PeerLimits
from actors.room import Room, RoomDeps, RoomLimits
from protocols import frames
from protocols.errors import NotFound
from protocols.meetings import Access, CheckAccess
from protocols.signaling import Attach, Detach, FromClient, ToClient
from runtime.engine import Actor, ActorSystem, Options, Reply, on
from runtime.testkit import Probe, Simulation
from tests.actors.world import RecordingTopics

F = TypeVar("F")

ROOM = "room_1"


class Rules:
    """What the meeting answers: who may come in. `held` keeps the answers back until `release`."""

    def __init__(self) -> None:
        self.strangers: set[int] = set()
        self.live = True
        self.missing = False
        self.held: list[tuple[Reply, Access]] | None = None
        self.asked = 0

    def access(self, user_id: int) -> Access:
        granted = user_id not in self.strangers
        return Access(granted, "participant" if granted else "", "" if granted else "stranger", self.live, True)

    def release(self) -> None:
        held, self.held = self.held or [], None
        for reply, access in held:
            reply.send(access)


class FakeMeeting(Actor):
    def __init__(self, _meeting_id: str, rules: Rules) -> None:
        self._rules = rules

    @on(CheckAccess)
    def check(self, message: CheckAccess) -> Access | None:
        self._rules.asked += 1
        if self._rules.missing:
            raise NotFound("no such meeting")
        if self._rules.held is None:
            return self._rules.access(message.actor_id)
        self._rules.held.append((self.defer(), self._rules.access(message.actor_id)))
        return None


class Client:
    """One client with its connection: what it gets is kept, and checked for gaps when it is in a room.

    `view` is whom it believes to be in its room, itself included, by session.
    """

    def __init__(self, system: ActorSystem, session: str, user_id: int, only_room: str = "") -> None:
        self.system = system
        self.session = session
        self.user_id = user_id
        self.username = f"user{user_id}"
        self.connection = Probe(system, f"connection-{session}")
        self.peer = system.entity("peer", session)
        self.got: list[frames.AnyServerFrame] = []
        self.view: dict[str, frames.RoomMember | None] = {}
        self.seq: int | None = None
        self.closed: int | None = None
        self.peer.tell(Attach(user_id, self.username, self.connection.ref.path, only_room))

    def send(self, frame: frames.AnyClientFrame) -> None:
        self.peer.tell(FromClient(frame))

    def join(self, room_id: str = ROOM, **parts: Any) -> None:
        self.send(frames.Join(room_id=room_id, **parts))

    def drop(self) -> None:
        """Lose the connection, as the edge tells it."""
        self.peer.tell(Detach("gone"))

    async def frame(self, kind: type[F], *, within_s: float = 30.0) -> F:
        """The next frame, which must be of this kind."""
        found = self._take(await self.connection.expect(ToClient, within_s=within_s))
        assert isinstance(found, kind), f"expected {kind.__name__}, got {found!r}"
        return found

    async def joined(self, room_id: str = ROOM) -> frames.Joined:
        self.join(room_id)
        return await self.frame(frames.Joined)

    async def refused(self, frame: frames.AnyClientFrame, code: str) -> frames.Error:
        """Send a frame that must be refused with this code, its id echoed."""
        self.send(frame)
        error = await self.frame(frames.Error)
        assert (error.code, error.id) == (code, frame.id), error
        return error

    def drain(self) -> None:
        """Take in all that has come."""
        for message in self.connection.drain():
            self._take(message)

    def _take(self, message: ToClient) -> frames.AnyServerFrame:
        frame = message.frame
        assert self.closed is None, f"{frame!r} came after the close"
        self.got.append(frame)
        match frame:
            case frames.Joined():
                self.seq = frame.seq
                self.view = {self.session: None, **{each.peer_id: each for each in frame.participants}}
                assert len(self.view) == len(frame.participants) + 1
            case frames.UserJoined():
                self._follows(frame)
                assert frame.participant.peer_id not in self.view
                self.view[frame.participant.peer_id] = frame.participant
            case frames.UserLeft():
                self._follows(frame)
                assert self.view.pop(frame.peer_id, None) is not None
            case frames.MeetingOver():
                self._follows(frame)
            case frames.Error() if frame.seq is not None:
                self._follows(frame)
            case frames.Left():
                self.seq, self.view = None, {}
        if message.close_code is not None:
            self.closed = message.close_code
            self.seq, self.view = None, {}
            self.drop()
        return frame

    def _follows(self, frame: frames.AnyServerFrame) -> None:
        assert self.seq is not None, f"{frame!r} came outside of a room"
        assert frame.seq == self.seq + 1, f"{frame!r} came after number {self.seq}"
        self.seq = frame.seq


def define(
    sim: Simulation, rules: Rules, topics: RecordingTopics | None = None, peer_options: Options | None = None
) -> None:
    """Carry rooms and peers, and meetings that follow `rules`."""
    deps = RoomDeps(topics or RecordingTopics(), RoomLimits(entering=8, vacant_s=5.0))
    entities = sim.system.entities
    entities.define("meeting", lambda meeting_id: FakeMeeting(meeting_id, rules))
    entities.define("room", lambda room_id: Room(room_id, deps), supervision=room.SUPERVISION)
    entities.define(
        "peer",
        lambda session: Peer(session, PeerLimits(attach_within_s=10.0)),
        supervision=peer.SUPERVISION,
        options=peer_options or Options(),
    )

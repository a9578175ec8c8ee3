"""The main job by actors alone, with real stores, a real journal and a stand-in for the models."""

from __future__ import annotations

from pathlib import Path

from protocols import frames
from protocols.ai import RecogniseSpeech, SpeechRecognised
from protocols.frames import MEETING_ENDED_CLOSE
from protocols.meetings import AnalysisPage, EndMeeting, GetAnalyses, GetTranscript, StartMeeting, TranscriptPage
from protocols.tokens import Identity, TokenUse
from runtime.topics import Journal, Topics
from tests.actors.brokers import SPOKEN, FakeBroker
from tests.actors.clients import Client
from tests.actors.world import World, settles


def connect(world: World, session: str, join_token: str) -> Client:
    """What the edge does with a join token."""
    now = world.clock.now().timestamp()
    who: Identity = world.signer.verify(join_token, now=now, uses=frozenset({TokenUse.JOIN}))
    return Client(world.system, session, who.user_id, only_room=who.room_id)


async def test_from_registration_to_the_transcript(bare_world: World, tmp_path: Path) -> None:
    world = bare_world
    journal = await Journal.open(tmp_path / "journal.db")
    topics = Topics(world.system, journal, source="test")
    world.define(make_broker=FakeBroker, topics=topics)

    ada, bob = await world.register("ada"), await world.register("bob")
    await world.log_in("ada")
    planned = await world.plan(ada, password="sesame")
    meeting = await world.ask("meeting", planned.id, StartMeeting(ada.id))
    hers, his = await world.join(meeting, ada), await world.join(meeting, bob, "sesame")

    first, second = connect(world, "s1", hers.join_token), connect(world, "s2", his.join_token)
    await first.joined(meeting.room_id)
    [seen] = (await second.joined(meeting.room_id)).participants
    assert (seen.role, seen.polite) == ("host", True)
    assert (await first.frame(frames.UserJoined)).participant.role == "participant"
    second.send(frames.Offer(room_id=meeting.room_id, to_user_id=ada.id, sdp="offer"))
    assert (await first.frame(frames.RelayedOffer)).from_user_id == bob.id
    first.send(frames.Answer(room_id=meeting.room_id, to_user_id=bob.id, sdp="answer"))
    assert (await second.frame(frames.RelayedAnswer)).sdp == "answer"

    clip = RecogniseSpeech(bob.id, meeting.id, b"sound", "flac", 0)
    found: SpeechRecognised = await world.ask("analysis", "task-1", clip)
    assert found.text == SPOKEN.text
    await settles(lambda: set(topics.depths.values()) == {0})
    page: TranscriptPage = await world.ask("meeting", meeting.id, GetTranscript(ada.id))
    assert [(line.username, line.text) for line in page.items] == [("bob", "Ask not."), ("bob", "What you can do.")]
    results: AnalysisPage = await world.ask("meeting", meeting.id, GetAnalyses(bob.id))
    assert [result.task_id for result in results.items] == ["task-1"]

    await world.ask("meeting", meeting.id, EndMeeting(ada.id))
    for client in (first, second):
        over = await client.frame(frames.MeetingOver)
        assert (over.meeting_id, client.closed) == (meeting.id, MEETING_ENDED_CLOSE)
    await settles(lambda: world.system.entities.kinds["peer"] == 0)
    await settles(lambda: world.system.entities.kinds["room"] == 0)
    await world.system.stop()
    await journal.close()


async def test_a_node_that_stops_with_people_in_a_room_leaves_nothing_and_takes_no_time(world: World) -> None:
    ada = await world.register("ada")
    meeting = await world.started(ada)
    for number in range(10):
        person = await world.register(f"user{number}") if number else ada
        admission = await world.join(meeting, person)
        await connect(world, f"s{number}", admission.join_token).joined(meeting.room_id)
    began = world.clock.time()
    await world.system.stop()
    assert world.clock.time() - began < 2.0
    assert world.system.statistics().failures == 0

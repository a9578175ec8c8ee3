from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings

from models.records import Meeting, MeetingSettings, MeetingStatus, NewMeeting, ParticipantRole
from models.stores import Stores
from protocols.errors import Aborted, FailedPrecondition, InvalidArgument, NotFound
from tests.models import samples
from tests.models.conftest import StoppedClock
from tests.models.samples import later, new_meeting, participant


async def test_a_meeting_is_planned_held_and_ended(stores: Stores, clock: StoppedClock) -> None:
    planned = await stores.meetings.create(new_meeting(7))
    assert (planned.status, planned.version, planned.created_at) == (MeetingStatus.SCHEDULED, 1, clock())
    held = replace(
        planned,
        status=MeetingStatus.ACTIVE,
        actual_start_time=later(5),
        settings=MeetingSettings(enable_recording=True, mute_on_join=True),
    )
    held = await stores.meetings.update(held)
    assert held.version == 2
    ended = await stores.meetings.update(replace(held, status=MeetingStatus.ENDED, actual_end_time=later(99)))
    assert (
        await stores.meetings.get(planned.id)
        == ended
        == replace(held, status=MeetingStatus.ENDED, actual_end_time=later(99), version=3)
    )


async def test_what_is_not_there_is_not_found(stores: Stores) -> None:
    meeting = await stores.meetings.create(new_meeting())
    for lookup in (
        stores.meetings.get(999),
        stores.meetings.update(replace(meeting, id=999)),
        stores.meetings.join(participant(999, 7)),
        stores.meetings.leave(999, 7, later(0)),
        stores.meetings.leave(meeting.id, 7, later(0)),
        stores.meetings.participant(meeting.id, 7),
    ):
        with pytest.raises(NotFound):
            await lookup
    assert await stores.meetings.participants(999) == ()


async def test_an_update_of_an_old_version_is_aborted(stores: Stores) -> None:
    meeting = await stores.meetings.create(new_meeting())
    changes = [stores.meetings.update(replace(meeting, title=f"Title {n}")) for n in range(3)]
    ended = await asyncio.gather(*changes, return_exceptions=True)
    [won] = [outcome for outcome in ended if isinstance(outcome, Meeting)]
    assert [type(outcome) for outcome in ended if outcome is not won] == [Aborted, Aborted]
    assert await stores.meetings.get(meeting.id) == won


async def test_a_writer_that_lost_its_lease_is_refused(stores: Stores) -> None:
    meeting = await stores.meetings.create(new_meeting())
    meeting = await stores.meetings.update(replace(meeting, title="Mine"), fence=2)
    for stale in (
        stores.meetings.update(replace(meeting, title="Late"), fence=1),
        stores.meetings.join(participant(meeting.id, 7), fence=1),
        stores.meetings.leave(meeting.id, 7, later(0), fence=1),
    ):
        with pytest.raises(FailedPrecondition):
            await stale
    await stores.meetings.join(participant(meeting.id, 7), fence=3)
    with pytest.raises(FailedPrecondition):
        await stores.meetings.update(meeting, fence=2)
    assert await stores.meetings.update(meeting, fence=3) == replace(meeting, version=meeting.version + 1)
    with pytest.raises(InvalidArgument):
        await stores.meetings.update(meeting, fence=-1)


async def test_a_refused_write_does_not_move_the_fence(stores: Stores) -> None:
    meeting = await stores.meetings.create(new_meeting())
    with pytest.raises(Aborted):
        await stores.meetings.update(replace(meeting, version=9), fence=5)
    assert (await stores.meetings.update(meeting, fence=1)).version == 2


async def test_people_come_go_and_come_back(stores: Stores) -> None:
    meeting = await stores.meetings.create(new_meeting())
    ada, grace = participant(meeting.id, 9, joined_s=1), participant(meeting.id, 3, joined_s=2)
    assert await stores.meetings.join(ada) == ada
    assert await stores.meetings.join(grace) == grace
    gone = await stores.meetings.leave(meeting.id, 9, later(60))
    assert gone == replace(ada, left_at=later(60))
    assert await stores.meetings.leave(meeting.id, 9, later(70)) == gone
    assert await stores.meetings.participant(meeting.id, 9) == gone
    assert await stores.meetings.participants(meeting.id) == (gone, grace)
    assert await stores.meetings.participants(meeting.id, present=True) == (grace,)
    back = replace(ada, joined_at=later(80), role=ParticipantRole.CO_HOST)
    assert await stores.meetings.join(back) == replace(back, joined_at=ada.joined_at)
    assert [who.user_id for who in await stores.meetings.participants(meeting.id, present=True)] == [9, 3]


async def test_leaving_is_never_before_joining(stores: Stores) -> None:
    meeting = await stores.meetings.create(new_meeting())
    await stores.meetings.join(participant(meeting.id, 7, joined_s=10))
    assert (await stores.meetings.leave(meeting.id, 7, later(9))).left_at == later(10)


async def test_the_meetings_of_a_user_are_paged_newest_first(stores: Stores) -> None:
    made = [await stores.meetings.create(new_meeting(creator_id=1 + n % 2, title=f"No {n}")) for n in range(8)]
    for meeting in (made[1], made[2], made[5]):
        await stores.meetings.join(participant(meeting.id, 1))
    mine = [made[n] for n in (6, 5, 4, 2, 1, 0)]
    first = await stores.meetings.list_for_user(1, limit=2)
    await stores.meetings.create(new_meeting(creator_id=1, title="came while paging"))
    second = await stores.meetings.list_for_user(1, cursor=first.next_cursor, limit=3)
    third = await stores.meetings.list_for_user(1, cursor=second.next_cursor, limit=3)
    assert [*first.items, *second.items, *third.items] == mine
    assert third.next_cursor == ""


async def test_a_full_last_page_has_no_next(stores: Stores) -> None:
    for _ in range(2):
        await stores.meetings.create(new_meeting(1))
    assert (await stores.meetings.list_for_user(1, limit=2)).next_cursor == ""
    assert (await stores.meetings.list_for_user(2)).items == ()


async def test_what_goes_on_is_listed(stores: Stores) -> None:
    made = [await stores.meetings.create(new_meeting()) for _ in range(4)]
    active = [
        await stores.meetings.update(replace(meeting, status=MeetingStatus.ACTIVE)) for meeting in (made[0], made[2])
    ]
    first = await stores.meetings.list_active(limit=1)
    second = await stores.meetings.list_active(cursor=first.next_cursor, limit=1)
    assert [*first.items, *second.items] == active[::-1]
    assert second.next_cursor == ""


@pytest.mark.parametrize(("cursor", "limit"), [("%%%", 10), ("AAAA", 10), ("", 0), ("", 501)])
async def test_a_page_that_cannot_be_is_refused(stores: Stores, cursor: str, limit: int) -> None:
    for listing in (
        stores.meetings.list_for_user(1, cursor=cursor, limit=limit),
        stores.meetings.list_active(cursor=cursor, limit=limit),
        stores.transcripts.list_for_meeting(1, cursor=cursor, limit=limit),
        stores.analyses.list_for_meeting(1, cursor=cursor, limit=limit),
        stores.logins.list_for_user(1, cursor=cursor, limit=limit),
    ):
        with pytest.raises(InvalidArgument):
            await listing


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(new=samples.new_meetings)
async def test_any_meeting_round_trips(stores: Stores, new: NewMeeting) -> None:
    made = await stores.meetings.create(new)
    assert await stores.meetings.get(made.id) == made
    assert {name: getattr(made, name) for name in new.__slots__} == {name: getattr(new, name) for name in new.__slots__}
    assert await stores.meetings.update(made) == replace(made, version=2)

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace

from hypothesis import HealthCheck, given, settings

from models.records import TranscriptSegment
from models.stores import Stores
from tests.models import samples
from tests.models.samples import segment

_serial = itertools.count()


async def test_a_transcript_is_in_the_order_of_speech(stores: Stores) -> None:
    late = [segment(task_id="b", index=n, start_s=10 + n) for n in range(3)]
    early = [segment(task_id="a", index=n, start_s=n) for n in range(3)]
    tied = [segment(task_id="a", index=3, start_s=10), segment(task_id="c", index=0, start_s=10)]
    assert await stores.transcripts.append(late) == 3
    assert await stores.transcripts.append([*early, *tied, segment(meeting_id=2, task_id="d")]) == 6
    seen: list[TranscriptSegment] = []
    cursor, pages = "", 0
    while pages == 0 or cursor:
        page = await stores.transcripts.list_for_meeting(1, cursor=cursor, limit=3)
        seen += page.items
        cursor, pages = page.next_cursor, pages + 1
    assert seen == [*early, tied[0], late[0], tied[1], *late[1:]]
    assert pages == 3


async def test_a_segment_that_comes_twice_is_one(stores: Stores) -> None:
    first = segment(text="what was heard first")
    assert await stores.transcripts.append([first]) == 1
    assert await stores.transcripts.append([replace(first, text="again"), segment(index=1, start_s=1)]) == 1
    page = await stores.transcripts.list_for_meeting(1)
    assert page.items == (first, segment(index=1, start_s=1))
    assert await stores.transcripts.append([]) == 0


async def test_a_result_that_is_delivered_to_many_at_once_is_stored_once(stores: Stores) -> None:
    whole = [segment(index=n, start_s=n) for n in range(4)]
    assert sorted(await asyncio.gather(*[stores.transcripts.append(whole) for _ in range(3)])) == [0, 0, 4]
    assert list((await stores.transcripts.list_for_meeting(1)).items) == whole


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=samples.segments)
async def test_any_segment_round_trips(stores: Stores, drawn: TranscriptSegment) -> None:
    kept = replace(drawn, task_id=f"{drawn.task_id[:50]}{next(_serial)}", meeting_id=1 + next(_serial))
    assert await stores.transcripts.append([kept]) == 1
    assert (await stores.transcripts.list_for_meeting(kept.meeting_id)).items == (kept,)

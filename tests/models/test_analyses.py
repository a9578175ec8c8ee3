from __future__ import annotations

import itertools
from dataclasses import replace

from hypothesis import HealthCheck, given, settings

from models.records import Analysis, DeepfakeResult, EmotionResult, SpeechResult
from models.stores import Stores
from tests.models import samples
from tests.models.samples import analysis, later

_serial = itertools.count()


async def test_a_result_is_stored_once_for_its_task_and_type(stores: Stores) -> None:
    first = analysis(result=DeepfakeResult(is_deepfake=True))
    other_type = analysis(result=EmotionResult("happy"))
    assert await stores.analyses.save(first)
    assert not await stores.analyses.save(analysis(result=DeepfakeResult(is_deepfake=False)))
    assert await stores.analyses.save(other_type)
    assert await stores.analyses.by_task("task-1") == (first, other_type)
    assert await stores.analyses.by_task("task-2") == ()


async def test_the_results_of_a_meeting_are_paged_by_time(stores: Stores) -> None:
    speech = [analysis(f"s{n}", result=SpeechResult(f"words {n}", "en", 1000), created_s=n) for n in range(4)]
    tied = [analysis("a", created_s=2), replace(analysis("s2"), created_at=later(2))]
    for found in [*reversed(speech), *tied, analysis("elsewhere", meeting_id=2)]:
        assert await stores.analyses.save(found)
    expected = [speech[0], speech[1], tied[0], tied[1], speech[2], speech[3]]
    first = await stores.analyses.list_for_meeting(1, limit=4)
    second = await stores.analyses.list_for_meeting(1, cursor=first.next_cursor, limit=4)
    assert [*first.items, *second.items] == expected
    assert second.next_cursor == ""


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=samples.analyses)
async def test_any_result_round_trips(stores: Stores, drawn: Analysis) -> None:
    kept = replace(drawn, task_id=f"{drawn.task_id[:50]}{next(_serial)}")
    assert await stores.analyses.save(kept)
    assert await stores.analyses.by_task(kept.task_id) == (kept,)

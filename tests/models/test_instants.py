from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given

from models.instants import from_us, to_us
from tests.models import samples


@given(moment=samples.moments)
def test_a_moment_round_trips_to_the_microsecond(moment: datetime) -> None:
    assert from_us(to_us(moment)) == moment


@given(first=samples.moments, second=samples.moments)
def test_moments_and_their_numbers_sort_alike(first: datetime, second: datetime) -> None:
    assert (first < second) == (to_us(first) < to_us(second))


def test_nothing_stays_nothing() -> None:
    assert to_us(None) is None
    assert from_us(None) is None
    assert to_us(datetime(1970, 1, 1, tzinfo=UTC)) == 0

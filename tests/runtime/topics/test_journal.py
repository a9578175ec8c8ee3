from __future__ import annotations

import asyncio
import sqlite3
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from protocols.errors import FailedPrecondition, ResourceExhausted, Unavailable
from runtime.topics import GroupName, Journal
from runtime.topics.journal_file import Outcome

G = GroupName("user_events", "g")
H = GroupName("user_events", "h")
ENOUGH = 10_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "journal.db"


@pytest.fixture
async def journal(path: Path) -> AsyncIterator[Journal]:
    opened = await Journal.open(path, limit=5)
    yield opened
    await opened.close()


async def pragma(journal: Journal, text: str) -> None:
    """Set a pragma on the journal's own connection, to bring trouble about."""
    await journal._writer.read(lambda: journal._file._connection.execute(f"PRAGMA {text}").fetchall())


async def kept(journal: Journal, group: GroupName = G) -> list[bytes]:
    return [entry.envelope for entry in await journal.pending(group, 0, ENOUGH)]


async def seqs(journal: Journal, group: GroupName = G) -> tuple[int, ...]:
    return tuple(entry.seq for entry in await journal.pending(group, 0, ENOUGH))


async def test_what_was_kept_is_there_after_a_restart(path: Path) -> None:
    journal = await Journal.open(path)
    journal.admit(G)
    journal.admit(H)
    for number in range(3):
        await journal.append([G, H], b"%d" % number)
    first, second, third = await seqs(journal)
    outcome = Outcome(handled=(first,), failed=(second,), dead=((third, "no use"),))
    assert await journal.settle(G, outcome) == (1, 1)
    await journal.close()

    again = await Journal.open(path)
    assert again.groups("user_events") == [G, H]
    assert again.groups("ai_events") == []
    assert again.depths == {G: 1, H: 3}
    assert again.dead_counts == {G: 1}
    (entry,) = await again.pending(G, 0, ENOUGH)
    assert (entry.envelope, entry.attempts) == (b"1", 1)
    (dead,) = await again.dead()
    assert (dead.group, dead.envelope, dead.attempts, dead.error) == (G, b"2", 1, "no use")
    await again.close()


async def test_the_journal_is_readable_by_its_owner_alone(journal: Journal, path: Path) -> None:
    journal.admit(G)
    await journal.append([G], b"x")
    for file in path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


async def test_publishers_share_a_flush_and_all_are_kept_in_order(path: Path) -> None:
    async with asyncio.timeout(20):
        journal = await Journal.open(path)
        journal.admit(G)
        envelopes = [b"%d" % number for number in range(500)]
        await asyncio.gather(*(journal.append([G], envelope) for envelope in envelopes))
        assert await kept(journal) == envelopes
        assert journal.depths == {G: 500}
        await journal.close()


async def test_a_full_group_refuses_for_all_until_something_is_handled(journal: Journal) -> None:
    journal.admit(G)
    journal.admit(H)
    for _ in range(5):
        await journal.append([G], b"x")
    with pytest.raises(ResourceExhausted, match="group 'g'") as refused:
        await journal.append([H, G], b"y")
    assert refused.value.retry_after_s
    assert (journal.depths, await kept(journal, H)) == ({G: 5, H: 0}, [])
    await journal.settle(G, Outcome(handled=(await seqs(journal))[:1]))
    await journal.append([H, G], b"y")
    assert journal.depths == {G: 5, H: 1}


async def test_the_limit_counts_what_is_being_written(journal: Journal) -> None:
    journal.admit(G)
    results = await asyncio.gather(*(journal.append([G], b"x") for _ in range(9)), return_exceptions=True)
    assert sum(isinstance(result, ResourceExhausted) for result in results) == 4
    assert len(await kept(journal)) == 5


async def test_settling_twice_counts_once(journal: Journal) -> None:
    journal.admit(G)
    await journal.append([G], b"x")
    (seq,) = await seqs(journal)
    assert await journal.settle(G, Outcome(handled=(seq,))) == (1, 0)
    assert await journal.settle(G, Outcome(handled=(seq,), failed=(seq,), dead=((seq, "late"),))) == (0, 0)
    assert (journal.depths, await journal.dead(), journal.dead_counts) == ({G: 0}, [], {})


@pytest.mark.parametrize(("trouble", "why"), [("query_only=ON", "readonly"), ("max_page_count=1", "full")])
async def test_what_cannot_be_written_is_refused_and_counts_for_nothing(
    journal: Journal, trouble: str, why: str
) -> None:
    journal.admit(G)
    await journal.append([G], b"before")
    before = await seqs(journal)
    large = b"x" * 100_000
    await pragma(journal, trouble)
    with pytest.raises(Unavailable, match=f"the journal cannot be written: .*{why}") as refused:
        await journal.append([G], large)
    assert refused.value.retryable
    assert (journal.depths, await kept(journal)) == ({G: 1}, [b"before"])

    await pragma(journal, "query_only=OFF")
    await pragma(journal, f"max_page_count={2**30}")
    await journal.append([G], large)
    assert (journal.depths, await kept(journal)) == ({G: 2}, [b"before", large])
    assert (await seqs(journal))[0] == before[0]


async def test_one_refused_change_takes_back_all_that_were_written_with_it(journal: Journal) -> None:
    journal.admit(G)
    await journal.append([G], b"first")
    await pragma(journal, "max_page_count=1")
    results = await asyncio.gather(
        *(journal.append([G], envelope) for envelope in (b"small", b"x" * 100_000)), return_exceptions=True
    )
    refused = sum(isinstance(result, Unavailable) for result in results)
    assert refused >= 1
    assert len(await kept(journal)) == journal.depths[G] == 3 - refused


async def test_nothing_is_read_that_is_not_written(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    journal.admit(G)
    await journal.append([G], b"first")

    def torn(group: GroupName) -> None:
        journal._file.append([group], b"second")
        raise sqlite3.OperationalError("torn")

    monkeypatch.setattr(journal._file, "add_group", torn)
    journal.admit(H)
    looks = [await kept(journal) for _ in range(20)]
    assert all(look == [b"first"] for look in looks)


async def test_a_group_that_could_not_be_written_goes_with_the_next_event(path: Path) -> None:
    journal = await Journal.open(path)
    await pragma(journal, "query_only=ON")
    journal.admit(G)
    with pytest.raises(Unavailable):
        await journal.append([G], b"refused")
    await pragma(journal, "query_only=OFF")
    await journal.append([G], b"kept")
    await journal.settle(G, Outcome(handled=await seqs(journal)))
    await journal.close()
    again = await Journal.open(path)
    assert again.groups(G.topic) == [G]
    await again.close()


async def test_a_cancelled_append_is_kept_and_announced(journal: Journal) -> None:
    journal.admit(G)
    announced = asyncio.Event()
    journal.listen(G, announced.set)
    appending = asyncio.create_task(journal.append([G], b"x"))
    await asyncio.sleep(0)  # it has handed its event to the writer
    appending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await appending
    async with asyncio.timeout(5):
        await announced.wait()
    assert (journal.depths, await kept(journal)) == ({G: 1}, [b"x"])


async def test_closing_writes_what_was_asked_for(path: Path) -> None:
    journal = await Journal.open(path)
    journal.admit(G)
    appends = [asyncio.create_task(journal.append([G], b"%d" % number)) for number in range(50)]
    await asyncio.sleep(0)
    await asyncio.gather(journal.close(), journal.close())
    await asyncio.gather(*appends)
    with pytest.raises(Unavailable, match="closed"):
        await journal.append([G], b"late")
    with pytest.raises(Unavailable, match="closed"):
        await journal.pending(G, 0, 1)
    with pytest.raises(Unavailable, match="closed"):
        journal.admit(H)
    await journal.close()
    again = await Journal.open(path)
    assert len(await kept(again)) == 50
    await again.close()


async def test_a_cancelled_close_goes_on_closing(path: Path) -> None:
    journal = await Journal.open(path)
    closing = asyncio.create_task(journal.close())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    await journal.close()
    await (await Journal.open(path)).close()


async def test_nobody_waits_for_a_writer_that_is_gone(path: Path) -> None:
    journal = await Journal.open(path)
    journal.admit(G)
    (writer,) = (task for task in asyncio.all_tasks() if task.get_name() == "journal")
    appends = [asyncio.create_task(journal.append([G], b"x")) for _ in range(20)]
    await asyncio.sleep(0)
    writer.cancel()
    async with asyncio.timeout(5):
        results = await asyncio.gather(*appends, return_exceptions=True)
        assert all(isinstance(result, Unavailable) for result in results)
        with pytest.raises(Unavailable):
            await journal.append([G], b"late")
        await journal.close()


async def test_a_step_that_breaks_fails_its_transaction_and_not_the_writer(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.admit(G)

    def broken(*_: object) -> Any:
        raise TypeError("a defect")

    with monkeypatch.context() as patch:
        patch.setattr(journal._file, "append", broken)
        with pytest.raises(Unavailable, match="a defect"):
            await journal.append([G], b"x")
    await journal.append([G], b"y")
    assert (journal.depths, await kept(journal)) == ({G: 1}, [b"y"])


async def test_what_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=f"cannot open the journal {tmp_path}"):
        await Journal.open(tmp_path)
    other = tmp_path / "picture.db"
    other.write_bytes(b"\x89PNG" * 1000)
    with pytest.raises(Unavailable, match=r"picture\.db: file is not a database"):
        await Journal.open(other)


async def test_one_journal_is_open_once_in_a_process_too(journal: Journal, path: Path) -> None:
    with pytest.raises(Unavailable, match="another process holds it"):
        await Journal.open(path, busy_timeout_s=0.01)


async def test_no_place_in_the_journal_is_given_twice(path: Path) -> None:
    places: list[int] = []
    for _ in range(3):
        journal = await Journal.open(path)
        journal.admit(G)
        await journal.append([G], b"x")
        places += await seqs(journal)
        await journal.settle(G, Outcome(handled=await seqs(journal)))
        await journal.close()
    assert places == sorted(set(places))


async def test_dead_events_are_listed_in_pages_replayed_and_dropped(journal: Journal) -> None:
    journal.admit(G)
    for number in range(4):
        await journal.append([G], b"%d" % number)
    places = await seqs(journal)
    await journal.settle(G, Outcome(dead=tuple((seq, "no use") for seq in places)))
    page = await journal.dead(3)
    assert [dead.envelope for dead in page] == [b"3", b"2", b"1"]
    assert [dead.envelope for dead in await journal.dead(3, before=page[-1].seq)] == [b"0"]
    announced: list[bool] = []
    journal.listen(G, lambda: announced.append(True))
    await journal.append([G], b"new")

    assert await journal.replay([places[1], 999]) == 1
    assert len(announced) == 2
    assert [(entry.envelope, entry.attempts) for entry in await journal.pending(G, 0, ENOUGH)] == [
        (b"new", 0),
        (b"1", 0),
    ]
    assert await journal.drop([places[0], places[1], 999]) == 1
    assert (journal.depths, journal.dead_counts) == ({G: 2}, {G: 2})
    assert [dead.envelope for dead in await journal.dead()] == [b"3", b"2"]


async def test_a_group_can_be_forgotten_but_not_under_its_subscriber(journal: Journal) -> None:
    journal.admit(G)
    journal.admit(H)
    for number in range(3):
        await journal.append([G, H], b"%d" % number)
    await journal.settle(G, Outcome(dead=(((await seqs(journal))[0], "no use"),)))
    end = journal.listen(G, lambda: None)
    with pytest.raises(FailedPrecondition, match="user_events/g"):
        await journal.forget(G)
    end()
    assert await journal.forget(G) == 2
    assert (journal.groups(G.topic), journal.depths, await kept(journal)) == ([H], {H: 3}, [])
    # Its dead events can be looked at and dropped; there is nobody to replay them to.
    (dead,) = await journal.dead()
    assert (await journal.replay([dead.seq]), await journal.drop([dead.seq])) == (0, 1)


async def test_a_group_that_cannot_be_forgotten_is_still_there(journal: Journal) -> None:
    journal.admit(G)
    await journal.append([G], b"x")
    await pragma(journal, "query_only=ON")
    with pytest.raises(Unavailable):
        await journal.forget(G)
    assert journal.depths == {G: 1}

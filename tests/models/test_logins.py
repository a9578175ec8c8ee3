from __future__ import annotations

from models.records import LoginRecord
from models.stores import Stores
from tests.models.samples import later


async def test_logins_are_listed_newest_first(stores: Stores) -> None:
    logins = [LoginRecord(7, "ada", f"192.0.2.{n}", later(n // 2)) for n in range(5)]
    for login in [*logins, LoginRecord(8, "grace", "", later(9))]:
        assert await stores.logins.append(login)
    expected = sorted(logins, key=lambda login: (login.login_time, login.ip_address), reverse=True)
    first = await stores.logins.list_for_user(7, limit=3)
    second = await stores.logins.list_for_user(7, cursor=first.next_cursor, limit=3)
    assert [*first.items, *second.items] == expected
    assert second.next_cursor == ""


async def test_a_login_that_is_written_twice_is_one(stores: Stores) -> None:
    login = LoginRecord(7, "ada", "2001:db8::1", later(0))
    assert await stores.logins.append(login)
    assert not await stores.logins.append(login)
    assert (await stores.logins.list_for_user(7)).items == (login,)

"""Accounts: what goes to which actor, and what comes back."""

from __future__ import annotations

import pytest

from protocols.accounts import GetUser, LoggedIn, LogIn, LogOut, Refresh, Register, TokenPair
from protocols.errors import AlreadyExists, FieldFault, Unauthenticated
from tests.runtime.gateway.harness import Edge, access_token, user_view

GOOD = {"username": "Ada", "email": "ada@example.org", "password": "correct horse"}
SHOWN = {
    "id": 7,
    "username": "ada",
    "email": "ada@example.org",
    "full_name": "Ada L.",
    "status": "offline",
    "role": "user",
    "created_at": "2026-05-04T10:30:00Z",
}
LOGGED_IN = LoggedIn(user_view(), TokenPair("access", "7.refresh", 900))


async def test_register_is_201_with_the_place_of_the_profile(edge: Edge) -> None:
    edge.behind.answers[Register] = user_view()
    answer = await edge.send("POST", "/api/v1/auth/register", token=None, json={**GOOD, "full_name": "Ada L."})
    assert (answer.status, answer.json) == (201, SHOWN)
    assert answer.headers["Location"] == "/api/v1/users/profile"
    assert edge.behind.told == [("account", "ada", Register("Ada", "ada@example.org", "correct horse", "Ada L."))]


async def test_register_names_what_is_taken(edge: Edge) -> None:
    edge.behind.answers[Register] = AlreadyExists("the username is taken", faults=[FieldFault("username", "is taken")])
    answer = await edge.send("POST", "/api/v1/auth/register", token=None, json=GOOD)
    assert (answer.status, answer.json["code"]) == (409, "ALREADY_EXISTS")
    assert answer.json["errors"] == [{"field": "username", "detail": "is taken"}]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"username": "a"}, "username"),
        ({"username": "ada\n"}, "username"),
        ({"username": "a b"}, "username"),
        ({"username": "a/b"}, "username"),
        ({"email": "nobody"}, "email"),
        ({"email": "a@b\n"}, "email"),
        ({"password": "short"}, "password"),
        ({"password": "x" * 257}, "password"),
    ],
)
async def test_register_checks_each_field(edge: Edge, change: dict[str, str], field: str) -> None:
    answer = await edge.send("POST", "/api/v1/auth/register", token=None, json={**GOOD, **change})
    assert (answer.status, [fault["field"] for fault in answer.json["errors"]]) == (400, [field])
    assert edge.behind.told == []


async def test_log_in(edge: Edge) -> None:
    edge.behind.answers[LogIn] = LOGGED_IN
    answer = await edge.send("POST", "/api/v1/auth/login", token=None, json={"username": "ADA", "password": "pw"})
    assert answer.json == {
        "user": SHOWN,
        "access_token": "access",
        "refresh_token": "7.refresh",
        "expires_in": 900,
        "token_type": "Bearer",
    }
    assert answer.headers["Cache-Control"] == "no-store"
    assert edge.behind.told == [("account", "ada", LogIn("ADA", "pw", "127.0.0.1"))]


async def test_log_in_with_a_wrong_password(edge: Edge) -> None:
    edge.behind.answers[LogIn] = Unauthenticated("the name or the password is wrong")
    answer = await edge.send("POST", "/api/v1/auth/login", token=None, json={"username": "ada", "password": "pw"})
    assert (answer.status, answer.json["detail"]) == (401, "the name or the password is wrong")
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="parley"'


async def test_log_in_with_a_name_of_white_space(edge: Edge) -> None:
    answer = await edge.send("POST", "/api/v1/auth/login", token=None, json={"username": "  ", "password": "pw"})
    assert answer.status == 400
    assert [fault["field"] for fault in answer.json["errors"]] == ["username"]


async def test_refresh_and_log_out_go_to_the_owner_of_the_token(edge: Edge) -> None:
    edge.behind.answers[Refresh] = LOGGED_IN
    refreshed = await edge.send("POST", "/api/v1/auth/refresh", token=None, json={"refresh_token": "7.old"})
    left = await edge.send("POST", "/api/v1/auth/logout", token=None, json={"refresh_token": "7.new"})
    assert (refreshed.status, left.status, left.body) == (200, 204, b"")
    assert edge.behind.told == [("user", "7", Refresh("7.old")), ("user", "7", LogOut("7.new"))]


@pytest.mark.parametrize("token", ["nonsense", "x.y", "7.", "99999999999.x"])
async def test_what_is_no_refresh_token_reaches_nobody(edge: Edge, token: str) -> None:
    answer = await edge.send("POST", "/api/v1/auth/refresh", token=None, json={"refresh_token": token})
    assert (answer.status, edge.behind.told) == (401, [])


async def test_profile_is_that_of_the_token(edge: Edge) -> None:
    edge.behind.answers[GetUser] = user_view(42, "eve")
    answer = await edge.send("GET", "/api/v1/users/profile", token=access_token(42, "eve"))
    assert (answer.status, answer.json["id"]) == (200, 42)
    assert edge.behind.told == [("user", "42", GetUser())]

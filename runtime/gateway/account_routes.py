"""Accounts over HTTP: register, log in, refresh, log out, and one's own profile."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from protocols import http
from protocols.accounts import GetUser, LoggedIn, LogIn, LogOut, Refresh, Register, UserView, account_id
from protocols.errors import Code
from protocols.tokens import refresh_token_owner
from runtime.gateway.call import Answer, Call
from runtime.gateway.route import API, Access, Route


async def register(call: Call, sent: http.Registration) -> Answer:
    """Make an account. Its profile is at `Location`."""
    message = Register(sent.username, sent.email, sent.password, sent.full_name)
    view = await call.ask(UserView, "account", account_id(sent.username), message)
    return Answer(view, {"Location": f"{API}/users/profile"})


async def log_in(call: Call, sent: http.Credentials) -> http.Session:
    """Trade a name and a password for a pair of tokens."""
    message = LogIn(sent.username, sent.password, call.request.remote or "")
    return _session(await call.ask(LoggedIn, "account", account_id(sent.username), message))


async def refresh(call: Call, sent: http.RefreshToken) -> http.Session:
    """Trade a refresh token for the next pair. One that is used twice ends the session, for it was stolen."""
    owner = refresh_token_owner(sent.refresh_token)
    return _session(await call.ask(LoggedIn, "user", owner, Refresh(sent.refresh_token)))


async def log_out(call: Call, sent: http.RefreshToken) -> None:
    """End the session that the refresh token belongs to. Twice is as good as once."""
    owner = refresh_token_owner(sent.refresh_token)
    await call.ask(type(None), "user", owner, LogOut(sent.refresh_token))


async def get_profile(call: Call, sent: http.Nothing) -> UserView:
    """Who you are."""
    return await call.ask(UserView, "user", call.user.user_id, GetUser())


def _session(found: LoggedIn) -> http.Session:
    return http.Session(
        user=msgspec.convert(found.user, http.User, from_attributes=True),
        access_token=found.tokens.access_token,
        refresh_token=found.tokens.refresh_token,
        expires_in=found.tokens.expires_in_s,
    )


ROUTES: Final[tuple[Route[Any], ...]] = (
    Route(
        "POST",
        f"{API}/auth/register",
        register,
        http.Registration,
        http.User,
        summary="Make an account",
        tag="auth",
        status=201,
        access=Access.ANYONE,
        refuses=(Code.ALREADY_EXISTS,),
    ),
    Route(
        "POST",
        f"{API}/auth/login",
        log_in,
        http.Credentials,
        http.Session,
        summary="Log in",
        tag="auth",
        access=Access.ANYONE,
        refuses=(Code.UNAUTHENTICATED,),
    ),
    Route(
        "POST",
        f"{API}/auth/refresh",
        refresh,
        http.RefreshToken,
        http.Session,
        summary="Get the next pair of tokens",
        tag="auth",
        access=Access.ANYONE,
        refuses=(Code.UNAUTHENTICATED,),
    ),
    Route(
        "POST",
        f"{API}/auth/logout",
        log_out,
        http.RefreshToken,
        None,
        summary="Log out",
        tag="auth",
        status=204,
        access=Access.ANYONE,
        refuses=(Code.UNAUTHENTICATED,),
    ),
    Route(
        "GET",
        f"{API}/users/profile",
        get_profile,
        http.Nothing,
        http.User,
        summary="Your own profile",
        tag="users",
        refuses=(Code.NOT_FOUND,),
    ),
)

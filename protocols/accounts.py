"""Messages about accounts. `account/{username}` registers and logs in; `user/{id}` is the person behind it afterwards.

The id of an account actor is the username in the form of `account_id`: two that differ in case only are one account.
"""

from __future__ import annotations

import unicodedata
from dataclasses import field
from datetime import datetime

from protocols.messages import message


def account_id(username: str) -> str:
    """The form in which a username is unique: NFKC, case folded (Unicode TR 15 and TR 21), white space trimmed.

    Folding can undo the normal form and the normal form can bring up what folds, or a space; the second round ends it.
    """
    for _ in range(2):
        username = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", username).casefold()).strip()
    return username


@message("account.user")
class UserView:
    """What the system tells about a user. Holds no secret."""

    id: int
    username: str
    email: str
    full_name: str
    status: str
    role: str
    created_at: datetime


@message("account.tokens")
class TokenPair:
    """A short access token and the refresh token that gets the next pair; `expires_in_s` is the access token's life."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_in_s: int


@message("account.logged_in")
class LoggedIn:
    """Answer of LogIn and Refresh."""

    user: UserView
    tokens: TokenPair


@message("account.register")
class Register:
    """To `account/{username}`: make the account. Answer: UserView. AlreadyExists names what is taken."""

    username: str
    email: str
    password: str = field(repr=False)
    full_name: str = ""


@message("account.log_in")
class LogIn:
    """To `account/{username}`. Answer: LoggedIn. Unauthenticated does not tell a wrong name from a wrong password."""

    username: str
    password: str = field(repr=False)
    ip_address: str = ""


@message("user.refresh")
class Refresh:
    """To `user/{id}`: trade a refresh token for a new pair. A token used twice ends every session of its family."""

    refresh_token: str = field(repr=False)


@message("user.log_out")
class LogOut:
    """To `user/{id}`: end the session that the refresh token belongs to. Answer: None, also when it had ended."""

    refresh_token: str = field(repr=False)


@message("user.get")
class GetUser:
    """To `user/{id}`. Answer: UserView, or NotFound."""


@message("user.set_status")
class SetStatus:
    """To `user/{id}`: `online`, `away`, `busy` or `offline`. Answer: UserView."""

    status: str

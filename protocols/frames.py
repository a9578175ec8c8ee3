"""WebSocket frames of signaling: one JSON object a text frame, told apart by `type`.

A client sends `auth` first (or carries its token in the subprotocol), then `join`. Every frame may carry an `id`; the
answer or the `error` that it causes echoes it. A server frame that belongs to a room carries `seq`, which counts up
by one in that room as its members see it, so that a client notices a gap. `user_id` and `from_user_id` in a client's
frame are a claim: one that is not the token's is refused.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec

from protocols.errors import InvalidArgument
from protocols.ice import IceServer

SUBPROTOCOL: Final = "parley.v1"
TOKEN_SUBPROTOCOL_PREFIX: Final = "parley.token."
"""A client may offer `parley.v1` and `parley.token.<token>` in place of `auth`; the server picks the former."""


class ClientFrame(msgspec.Struct, frozen=True, tag_field="type", kw_only=True):
    """What any client frame may carry. `id` is the client's, at most 64 characters."""

    id: Annotated[str, msgspec.Meta(max_length=64)] | None = None


class Auth(ClientFrame, frozen=True, tag="auth"):
    """The first message: an access token, or the join token of a room."""

    token: str

    def __repr__(self) -> str:
        return "Auth(token=...)"


class Join(ClientFrame, frozen=True, tag="join"):
    room_id: str
    user_id: int | None = None
    username: str | None = None


class Offer(ClientFrame, frozen=True, tag="offer"):
    room_id: str
    to_user_id: int
    sdp: str
    from_user_id: int | None = None


class Answer(ClientFrame, frozen=True, tag="answer"):
    room_id: str
    to_user_id: int
    sdp: str
    from_user_id: int | None = None


class IceCandidate(ClientFrame, frozen=True, tag="ice_candidate"):
    """`candidate` is what the browser's RTCIceCandidate gives as JSON; null or "" ends the candidates."""

    room_id: str
    to_user_id: int
    candidate: dict[str, Any] | str | None
    from_user_id: int | None = None


class Leave(ClientFrame, frozen=True, tag="leave"):
    room_id: str
    user_id: int | None = None


class Ping(ClientFrame, frozen=True, tag="ping"):
    pass


AnyClientFrame = Auth | Join | Offer | Answer | IceCandidate | Leave | Ping
Negotiation = Offer | Answer | IceCandidate
"""The frames that one peer sends to another through the room."""


class RoomMember(msgspec.Struct, frozen=True):
    """A participant as the others see them. `polite` tells the receiver whether to give way to this one when two offers
    cross (perfect negotiation): of every two peers exactly one is polite."""

    user_id: int
    username: str
    peer_id: str
    role: str
    polite: bool


_EMPTY: Final[Any] = msgspec.field(default_factory=lambda: ())
"""An empty list that stays in the JSON (a plain default is left out): a client need not ask whether a list is there."""


class ServerFrame(msgspec.Struct, frozen=True, tag_field="type", kw_only=True, omit_defaults=True):
    """What any server frame may carry."""

    id: str | None = None
    seq: int | None = None


class Welcome(ServerFrame, frozen=True, tag="welcome"):
    """First frame of the server. `heartbeat_s`: how often the server pings."""

    session_id: str
    user_id: int
    username: str
    heartbeat_s: float
    ice_servers: tuple[IceServer, ...] = _EMPTY
    features: tuple[str, ...] = _EMPTY


class Joined(ServerFrame, frozen=True, tag="joined"):
    """Answer of `join`: everybody who is in the room already."""

    room_id: str
    participants: tuple[RoomMember, ...]


class UserJoined(ServerFrame, frozen=True, tag="user_joined"):
    room_id: str
    participant: RoomMember


class UserLeft(ServerFrame, frozen=True, tag="user_left"):
    room_id: str
    user_id: int
    peer_id: str
    reason: str


class RelayedOffer(ServerFrame, frozen=True, tag="offer"):
    room_id: str
    from_user_id: int
    to_user_id: int
    sdp: str


class RelayedAnswer(ServerFrame, frozen=True, tag="answer"):
    room_id: str
    from_user_id: int
    to_user_id: int
    sdp: str


class RelayedCandidate(ServerFrame, frozen=True, tag="ice_candidate"):
    room_id: str
    from_user_id: int
    to_user_id: int
    candidate: dict[str, Any] | str | None


class Left(ServerFrame, frozen=True, tag="left"):
    """Answer of `leave`."""

    room_id: str


class MeetingOver(ServerFrame, frozen=True, tag="meeting_ended"):
    """The meeting has ended; the server closes the connection with 4000 afterwards."""

    room_id: str
    meeting_id: int


class Pong(ServerFrame, frozen=True, tag="pong"):
    pass


class Error(ServerFrame, frozen=True, tag="error"):
    """Something was refused; the connection stays open unless a close follows. `code` is a name of `errors.Code`."""

    code: str
    message: str
    retry_after_s: float | None = None


AnyServerFrame = (
    Welcome
    | Joined
    | UserJoined
    | UserLeft
    | RelayedOffer
    | RelayedAnswer
    | RelayedCandidate
    | Left
    | MeetingOver
    | Pong
    | Error
)

MEETING_ENDED_CLOSE: Final = 4000
SLOW_CLIENT_CLOSE: Final = 4008
REPLACED_CLOSE: Final = 4009

_client_decoder: Final[msgspec.json.Decoder[AnyClientFrame]] = msgspec.json.Decoder(AnyClientFrame)
_encode: Final = msgspec.json.Encoder().encode
_server_decoder: Final[msgspec.json.Decoder[AnyServerFrame]] = msgspec.json.Decoder(AnyServerFrame)


_NOT_READABLE: Final = (msgspec.DecodeError, UnicodeError, RecursionError)
"""What a decoder raises at its input; RecursionError for JSON nested a thousand deep."""


class MalformedFrame(InvalidArgument):
    """A frame that is not JSON, has no known `type`, or whose fields do not fit."""


def decode(data: str | bytes) -> AnyClientFrame:
    """The client frame of a text message. Raises MalformedFrame, saying which field is wrong."""
    try:
        return _client_decoder.decode(data)
    except _NOT_READABLE as error:
        raise MalformedFrame(f"malformed frame: {error}") from None


def encode(frame: AnyServerFrame) -> bytes:
    """The JSON of a server frame."""
    return _encode(frame)


def decode_server(data: str | bytes) -> AnyServerFrame:
    """The server frame of a text message, for clients written in Python. Raises MalformedFrame."""
    try:
        return _server_decoder.decode(data)
    except _NOT_READABLE as error:
        raise MalformedFrame(f"malformed frame: {error}") from None


def encode_client(frame: AnyClientFrame) -> bytes:
    """The JSON of a client frame, for clients written in Python."""
    return _encode(frame)


def relayed(frame: Negotiation, from_user_id: int) -> RelayedOffer | RelayedAnswer | RelayedCandidate:
    """What the receiver of a negotiation frame sees: the sender is the token's, whatever the frame claimed."""
    match frame:
        case Offer():
            return RelayedOffer(
                room_id=frame.room_id, from_user_id=from_user_id, to_user_id=frame.to_user_id, sdp=frame.sdp
            )
        case Answer():
            return RelayedAnswer(
                room_id=frame.room_id, from_user_id=from_user_id, to_user_id=frame.to_user_id, sdp=frame.sdp
            )
        case IceCandidate():
            return RelayedCandidate(
                room_id=frame.room_id, from_user_id=from_user_id, to_user_id=frame.to_user_id, candidate=frame.candidate
            )

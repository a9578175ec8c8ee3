"""Addresses in the domain, read strictly: `7` names a user, `07` names nobody, so that nothing has two actors."""

from __future__ import annotations

from typing import Final

from protocols.errors import NotFound
from protocols.signaling import meeting_of, room_of
from runtime.engine import Actor, Ref

MAX_ID: Final = 2**32 - 1


def number_of(entity_id: str, thing: str) -> int:
    """The number that an entity's id is. Raises NotFound for what no `thing` can be called."""
    digits = entity_id.isascii() and entity_id.isdigit() and not entity_id.startswith("0")
    if not digits or len(entity_id) > len(str(MAX_ID)) or int(entity_id) > MAX_ID:
        raise NotFound(f"there is no such {thing}")
    return int(entity_id)


def meeting_of_room(room_id: str) -> int:
    """The meeting whose room this is. Raises NotFound for what is not the one name of a room."""
    meeting_id = meeting_of(room_id)
    if meeting_id is None or not 1 <= meeting_id <= MAX_ID or room_of(meeting_id) != room_id:
        raise NotFound("there is no such room")
    return meeting_id


def local(actor: Actor, ref: Ref) -> Ref:
    """The very actor behind a ref: what is sent to it later never starts an entity anew."""
    return actor.system.cell_of(ref)

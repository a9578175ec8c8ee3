"""What the engine itself may answer. All are `ParleyError`s: a handler that lets one through refuses its message."""

from __future__ import annotations

from protocols.errors import Code, ParleyError


class EngineError(ParleyError):
    """Root of the engine's errors."""


class MailboxFull(EngineError):
    """The receiver's mailbox has no room: the message was not taken. Try later, or send less."""

    code = Code.RESOURCE_EXHAUSTED


class ActorStopped(EngineError):
    """The receiver is gone, or went before it handled the message."""

    code = Code.UNAVAILABLE


class AskTimeout(EngineError):
    """No answer came within the ask's time limit; whether the message was handled is not known."""

    code = Code.DEADLINE_EXCEEDED


class HandlerFailed(EngineError):
    """The handler of an asked message broke. The cause is chained (`__cause__`) and in the log, not in the text."""

    code = Code.INTERNAL


class Unhandled(EngineError):
    """The receiver has no handler for this kind of message."""

    code = Code.UNIMPLEMENTED


class NameTaken(EngineError):
    """Another live actor has this name."""

    code = Code.ALREADY_EXISTS


class NoSuchActor(EngineError):
    """No actor, name or kind of entity is known at this address."""

    code = Code.NOT_FOUND


class SpawnRefused(EngineError):
    """A stopping parent or system starts no more actors."""

    code = Code.UNAVAILABLE


class StashFull(EngineError):
    """The stash holds as many messages as the mailbox may."""

    code = Code.RESOURCE_EXHAUSTED


class HandlerHung(Exception):
    """A handler ran past its actor's limit and was cancelled by the watchdog. A failure: the supervisor decides."""


class RestartIntensityExceeded(Exception):
    """A supervisor restarted more often than its window allows. A failure of the supervisor itself."""


class ChildFailed(Exception):
    """A child's failure that its supervisor escalated; the child's own error is chained (`__cause__`)."""

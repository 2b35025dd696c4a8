"""Errors, each named by the response it calls for.

Every message is a sentence a person can act on. None contains input bytes, names or keys.
"""

from __future__ import annotations

from collections.abc import Callable


class IirsError(Exception):
    """Anything iirs raises on purpose: a sentence, and the values that belong in its ``{places}``."""

    def __init__(self, sentence: str = "", **values: object) -> None:
        """Without values the sentence is taken as it is, braces and all."""
        super().__init__(sentence.format(**values) if values else sentence)
        self._sentence = sentence
        self._values = values

    def said(self, translate: Callable[[str], str]) -> str:
        """Return the sentence in another language; ``translate`` gets it without its values."""
        sentence = translate(self._sentence)
        return sentence.format(**self._values) if self._values else sentence


class ConfigError(IirsError):
    """The settings contradict each other or the data directory: refuse to start."""


class LinkError(ConfigError):
    """What was given as a join link is none: say what one looks like."""


class ExtraMissingError(IirsError):
    """An optional part is not installed: say how to get it, and go on without."""


class PeerError(IirsError):
    """The other end of this connection broke the protocol: close this connection, and only this one."""


class OnionError(IirsError):
    """An onion or sealed reply does not open: drop the item, finish the round."""


class HopError(IirsError):
    """A hop of the chain did not do its part: abandon this round, and try again with the next."""

    def __init__(self, hop: int, why: str) -> None:
        """``hop`` counts from 0; ``why`` is for the people who run the servers."""
        super().__init__(f"hop {hop} {why}")
        self.hop = hop
        self.why = why


class PeerMessageError(IirsError):
    """A peer message does not authenticate: treat it as a loss."""


class InvitationError(IirsError):
    """An invitation is not for us or is not valid: ignore it."""


class ChainError(IirsError):
    """The server shows a chain other than the one we trust: do not connect."""


class ImpostorError(ChainError):
    """Whoever answers has not shown to be the chain we trust: believe nothing of it, and try again later."""


class DirectoryError(IirsError):
    """The directory does not extend what we hold: do not trust this server's list of people."""


class AccountError(IirsError):
    """Registration or login was refused: tell the person and let them try again."""


class ConnectionLostError(IirsError):
    """The connection ended: reconnect on the usual schedule."""


class StorageError(IirsError):
    """The server's database cannot do its part now: say "not now" to whoever needs it, go on with rounds."""


class StoreError(IirsError):
    """What is kept on this machine cannot be used: do nothing that relies on it, tell the person."""

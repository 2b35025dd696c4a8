"""``AccountChanges``: a new password, or the end of an account, carried by uploads that would go anyway.

States: NONE -change or delete-> PENDING (in every upload, and stored) -server says done, or refused-> NONE.
What each loss does: a lost upload or a lost answer means that it goes again; done twice is done once. After
a stop in between, the next session takes it up. The server may know either by then: both are tried.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from iirs.client.events import ErrandDone
from iirs.client.store.store import ClientStore
from iirs.errors import AccountError
from iirs.wire.accounts import NO_ERRAND, Errand, ErrandKind, RefusedError, Result
from iirs.wire.rounds import NoticeFlags

_NAME = "errand"


@dataclass(slots=True)
class AccountChanges:
    """One account's. The engine's thread only."""

    store: ClientStore
    login_secret: bytes = field(repr=False)
    """What the server knew last, as far as we know."""
    pending: Errand = NO_ERRAND

    @classmethod
    def load(cls, store: ClientStore, login_secret: bytes) -> AccountChanges:
        """Take up what was pending. Raises ``StoreError``."""
        kept = store.get(_NAME)
        if kept is None:
            return cls(store, login_secret)
        errand, set_under = (bytes.fromhex(part) for part in kept)
        if set_under != login_secret:
            # Done, or overtaken by a newer password from another machine: it must not come back over that.
            store.remove(_NAME)
            return cls(store, login_secret)
        return cls(store, login_secret, Errand.decode(errand))

    def check_free(self) -> None:
        """Raise ``AccountError`` while one is pending: an answer does not say which one it is for."""
        if self.pending.kind is not ErrandKind.NONE:
            raise AccountError("A change of this account is still under way. Try again in a moment.")

    def set(self, errand: Errand) -> None:
        """Carry this from the next upload on; on return it is on disk. Raises ``AccountError``."""
        self.check_free()
        self.store.set(_NAME, [errand.encode().hex(), self.login_secret.hex()])
        self.store.commit()
        self.pending = errand

    @property
    def secrets(self) -> list[bytes]:
        """The login secrets to try, likeliest first."""
        fresh = [self.pending.login_secret] if self.pending.kind is ErrandKind.NEW_PASSWORD else []
        return [self.login_secret, *fresh]

    def logged_in_with(self, secret: bytes) -> ErrandDone | None:
        """Take in which secret the server knows: if it is the new one, the errand is done."""
        if secret == self.login_secret:
            return None
        return self.answered(NoticeFlags.ERRAND_DONE)

    def deleted(self) -> ErrandDone | None:
        """Take in that the account is deleted; return what to tell if that was asked for here."""
        asked = self.pending.kind is ErrandKind.DELETE
        return self.answered(NoticeFlags.ERRAND_DONE) if asked else None

    def log_in(
        self,
        connect: Callable[[bytes], None],
        attempt: Callable[[Callable[[], ErrandDone | None]], ErrandDone | None],
        tell: Callable[[ErrandDone], None],
    ) -> None:
        """Connect with the login secret that the server knows, and ``tell`` what that shows of the errand.

        ``attempt`` keeps something, if the disk takes it. Raises what ``connect`` does.
        """
        secrets_to_try = self.secrets
        for secret in secrets_to_try:
            try:
                connect(secret)
            except RefusedError as error:
                if error.result is Result.DELETED and (told := attempt(self.deleted)) is not None:
                    tell(told)  # we asked for that, and the answer was lost: this is the answer
                if error.result is not Result.WRONG_PASSWORD or secret == secrets_to_try[-1]:
                    raise
            else:
                if (told := attempt(partial(self.logged_in_with, secret))) is not None:
                    tell(told)
                return

    def answered(self, flags: NoticeFlags) -> ErrandDone | None:
        """Take in what the server says of the errand; return what to tell, if it said anything."""
        said = flags & (NoticeFlags.ERRAND_DONE | NoticeFlags.ERRAND_REFUSED)
        if not said or self.pending.kind is ErrandKind.NONE:
            return None
        done, kind = NoticeFlags.ERRAND_DONE in flags, self.pending.kind
        self.store.remove(_NAME)
        self.store.commit()
        if done and kind is ErrandKind.NEW_PASSWORD:
            self.login_secret = self.pending.login_secret
        self.pending = NO_ERRAND
        return ErrandDone(kind is ErrandKind.DELETE, done)

"""Logging in with a name that may be taken: what happens next hangs on the server's result, not on words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from iirs.client import account_tasks
from iirs.client.account.account import Account
from iirs.client.account.entry_calls import Home, forget_account
from iirs.client.account_tasks import Credentials, LoggedIn, NotLoggedIn
from iirs.client.store.opening import PutAside, Reason
from iirs.errors import AccountError
from iirs.wire.accounts import RefusedError, Result
from tests.builders import make_chain, person
from tests.test_kept_stores import KEY, kept

ALICE = Account("alice", make_chain().chain, person("alice"), bytes(32))


def attempt(
    patch: pytest.MonkeyPatch, folder: Path, refusal: AccountError, *, or_log_in: bool = True
) -> tuple[LoggedIn | NotLoggedIn, int]:
    """Try to register while the server refuses; return the outcome, and how often logging in was tried."""
    logins: list[object] = []

    def register(*_given: object, **_named: object) -> Account:
        raise refusal

    def login(*given: object) -> Account:
        logins.append(given)
        return ALICE

    patch.setattr(account_tasks, "register", register)
    patch.setattr(account_tasks, "login", login)
    credentials = Credentials("iirs://127.0.0.1:1", "alice", "a long password", True, or_log_in=or_log_in)
    outcome = account_tasks.log_in(Home(folder), credentials)
    if isinstance(outcome, LoggedIn):
        outcome.connection._store.close()
    return outcome, len(logins)


def test_a_name_that_is_taken_is_logged_in_with_if_that_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome, logins = attempt(monkeypatch, tmp_path, RefusedError(Result.NAME_TAKEN))
    assert (isinstance(outcome, LoggedIn), logins) == (True, 1)
    outcome, logins = attempt(monkeypatch, tmp_path, RefusedError(Result.NAME_TAKEN), or_log_in=False)
    assert (outcome, logins) == (NotLoggedIn(Result.NAME_TAKEN.sentence, on_trust=True), 0)


@pytest.mark.parametrize(
    "refusal",
    [
        *(RefusedError(result) for result in Result if result is not Result.NAME_TAKEN),
        AccountError(Result.NAME_TAKEN.sentence),
    ],
    ids=repr,
)
def test_no_other_refusal_leads_to_a_login_not_even_one_of_the_same_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusal: AccountError
) -> None:
    outcome, logins = attempt(monkeypatch, tmp_path, refusal)
    assert (outcome, logins) == (NotLoggedIn(str(refusal), on_trust=True), 0)


def told(outcome: LoggedIn | NotLoggedIn, aside: PutAside | None) -> str:
    assert isinstance(outcome, LoggedIn)
    return " ".join(replace(outcome, put_aside=aside).remarks(on_trust=False))


def test_what_became_of_a_file_is_told_and_only_what_may_be_damaged_is_called_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(account_tasks, "login", lambda *_: ALICE)
    outcome = account_tasks.log_in(
        Home(tmp_path), Credentials(f"iirs://127.0.0.1:1#{'ab' * 32}", "alice", "a long password", new=False)
    )
    assert isinstance(outcome, LoggedIn)
    outcome.connection._store.close()
    assert told(outcome, None) == ""
    path = tmp_path / "a.aside"
    damaged = told(outcome, PutAside(path, Reason.UNREADABLE))
    others = told(outcome, PutAside(path, Reason.OTHER_KEYS))
    earlier = told(outcome, PutAside(path, Reason.EARLIER, undelivered=2, left_out=1))
    assert "damaged" in damaged
    assert "other keys" in others
    assert "earlier iirs" in earlier
    assert "2 messages had not been delivered" in earlier
    assert "One message is in the earlier file only" in earlier
    assert "texts" not in told(outcome, PutAside(path, Reason.EARLIER))
    assert all("a.aside" in words for words in (damaged, others, earlier))
    assert not any("damaged" in words for words in (others, earlier))


def test_an_accounts_earlier_history_is_told_of_at_its_login(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(tmp_path)
    monkeypatch.setattr(account_tasks, "login", lambda *_: ALICE)
    monkeypatch.setattr(account_tasks, "storage_key", lambda _: KEY)
    kept("sealed_rows", tmp_path).rename(home.account_file(ALICE.chain, "alice", "store"))
    credentials = Credentials(f"iirs://127.0.0.1:1#{'ab' * 32}", "alice", "a long password", new=False)
    outcome = account_tasks.log_in(home, credentials)
    assert isinstance(outcome, LoggedIn)
    assert "brought over" in " ".join(outcome.remarks(on_trust=False))
    assert outcome.connection._store.history.page("bob")[0].author == "alice"
    outcome.connection._store.close()
    forget_account(ALICE, home)
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".json"] == []

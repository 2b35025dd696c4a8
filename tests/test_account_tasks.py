"""Logging in with a name that may be taken: what happens next hangs on the server's result, not on words."""

from __future__ import annotations

from pathlib import Path

import pytest

from iirs.client import account_tasks
from iirs.client.account.account import Account
from iirs.client.account.entry_calls import Home
from iirs.client.account_tasks import Credentials, LoggedIn, NotLoggedIn
from iirs.errors import AccountError
from iirs.wire.accounts import RefusedError, Result
from tests.builders import make_chain, person

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

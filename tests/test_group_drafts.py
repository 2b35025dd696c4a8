"""What was being written in a group goes with it: nothing can be sent there any more."""

from __future__ import annotations

from iirs.client.events import GroupChanged, GroupState
from tests.offline_page import OfflinePage, button, questions
from tests.screen import write
from tests.test_engine import alice, log_in

pytest_plugins = ["tests.window_fixtures"]
MEMBERS = ("alice", "bob")


def test_leaving_a_group_erases_its_draft_and_one_that_comes_late_is_not_kept() -> None:
    engine = alice()
    log_in(engine, 0)
    messenger = engine.messenger
    key, other = (messenger.create_group(name, ("bob",)) for name in ("Chess", "Go"))
    for talk in (key, other, "bob"):
        messenger.keep_draft(talk, "Meet me at noon")
    messenger.leave_group(key)
    assert set(messenger.drafts.all()) == {other, "bob"}
    messenger.keep_draft(key, "Meet me at noon")
    assert set(messenger.drafts.all()) == {other, "bob"}
    messenger.drafts.keep(key, "kept by an earlier version")
    messenger.restore(discard_keys=False)
    assert set(messenger.drafts.all()) == {other, "bob"}


def test_a_window_drops_what_is_being_written_when_a_group_is_left_or_declined(offline: OfflinePage) -> None:
    chat = offline.page.chat
    for state, leave in (
        (
            GroupState.JOINED,
            lambda: (chat._confirm_leave(), button(questions(offline.page)[-1], "Leave").invoke()),
        ),
        (GroupState.INVITED, chat.decline_button.invoke),
    ):
        offline.take(GroupChanged("#00", "Chess", MEMBERS, frozenset(MEMBERS), "alice", state))
        offline.page.open("#00")
        write(chat.entry, "Meet me at noon")
        chat.keep_draft()
        leave()
        assert offline.asked[-1] == ("leave_group", "#00")
        assert (chat.composer.text, offline.model.talk("#00").draft) == ("", "")

"""What was being written in a group goes with it: nothing can be sent there any more."""

from __future__ import annotations

from iirs.client.events import GroupChanged, GroupState
from iirs.client.model.background import KeptDrafts
from iirs.client.model.chat_model import ChatModel
from tests.test_engine import alice, log_in

MEMBERS = ("alice", "bob")
LEFT = GroupChanged("#00", "Chess", ("bob",), frozenset({"bob"}), "alice", GroupState.LEFT)
JOINED = GroupChanged("#00", "Chess", MEMBERS, frozenset(MEMBERS), "alice", GroupState.JOINED)


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


def test_a_window_has_the_draft_of_a_group_it_has_left_erased_whenever_it_hears_of_it() -> None:
    for told in ([JOINED, "draft", LEFT], [LEFT, "draft"], ["draft", LEFT]):
        model = ChatModel("alice")
        for event in told:
            if isinstance(event, GroupChanged):
                model.take(event)
            else:
                model.take_reading(KeptDrafts({"#00": "Meet me at noon"}))
        assert model.talk("#00").draft == ""
        assert [talk.peer for talk in model.drafts_to_keep()] == ["#00"]
        assert model.drafts_to_keep() == []

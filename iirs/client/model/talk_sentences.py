"""What a window says about a talk: one place for the sentences, none of them stored."""

from __future__ import annotations

from iirs.client.events import ConnectionState, GroupState, PeerState
from iirs.client.model.chat_model import ChatModel
from iirs.client.model.talk import Talk
from iirs.client.text.translate import N_, _, n_

_MAY_SEND = frozenset({PeerState.CONNECTED, PeerState.QUIET, PeerState.RESUMING})


def why_not(model: ChatModel, talk: Talk) -> str:
    """Return why nothing can be sent now, or "" if it can."""
    match model.connection:
        case ConnectionState.CONNECTING:
            return _("Connecting to the server …")
        case ConnectionState.WAITING:
            return _("No connection to the server. It is tried again by itself; nothing is lost.")
        case ConnectionState.CLOSED:
            return _("You are logged out, so nothing can be sent. What you write stays here.")
    if model.keeping:
        return _("Nothing can be sent while the disk takes no more. What you write stays here.")
    if talk.blocked:
        return _(talk.blocked)
    if talk.is_group:
        return "" if talk.group is GroupState.JOINED else about(model, talk)
    return "" if talk.state in _MAY_SEND else about(model, talk)


def about(model: ChatModel, talk: Talk) -> str:
    """Return a sentence about where a talk stands."""
    if model.standby and (talk.group is GroupState.JOINED if talk.is_group else talk.state in _MAY_SEND):
        return _("Rounds pause. What you send waits until they go on.")
    if talk.is_group:
        return _about_group(model, talk)
    peer = talk.peer
    match talk.state:
        case PeerState.IDLE if talk.asks:
            return _("{peer} wants to talk to you. Accept to begin.").format(peer=peer)
        case PeerState.ASKING:
            waiting = _("Waiting until {peer} asks you to talk, too.").format(peer=peer)
            return waiting + _invite_pace(model)
        case PeerState.WAITING:
            return n_(
                "Your one conversation is in use. {peer} is asked as soon as it ends.",
                "All {count} conversations you can have at once are in use. "
                "{peer} is asked as soon as one of them ends.",
                model.slots,
            ).format(count=model.slots, peer=peer)
    return _(_ABOUT[talk.state]).format(peer=peer)


_ABOUT = {
    PeerState.IDLE: N_("Ask {peer} to talk first."),
    PeerState.AGREED: N_("You have both asked. Meeting in the next rounds …"),
    PeerState.CONNECTED: N_("Connected. Enter sends, Shift+Enter begins a new line."),
    PeerState.QUIET: N_(
        "Nothing came from {peer} in the last round. What you send is repeated until it arrives."
    ),
    PeerState.RESUMING: N_("{peer} is out of reach. Looking for each other again; what you send waits."),
    PeerState.ENDING: N_("Ending. It takes a few rounds, so that nobody sees the moment."),
    PeerState.ENDED: N_("{peer} ended the conversation. Ask again to go on."),
}


def group_offer(talk: Talk) -> str:
    """Return a sentence about a group that asks us to join; its title stands in quotation marks of ours."""
    return _("{peer} asks you to join the group “{name}”.").format(peer=talk.founder, name=talk.title)


def _about_group(model: ChatModel, talk: Talk) -> str:
    if talk.group is GroupState.INVITED:
        return _("{peer} asks you to join this group.").format(peer=talk.founder)
    if talk.group is GroupState.LEFT:
        return _("You have left this group.")
    here = sum(
        name in model.talks and model.talks[name].state is PeerState.CONNECTED for name in talk.members
    )
    if not here:
        return _("Nobody of this group is connected to you just now. What you write waits.")
    return n_(
        "One member of this group is connected to you, and passes on what you write.",
        "{here} members of this group are connected to you, and pass on what you write.",
        here,
    ).format(here=here)


def _invite_pace(model: ChatModel) -> str:
    if model.round is None or model.round.invite_seconds < 1:
        return ""
    return " " + _("Invitations go out every {seconds} s.").format(seconds=round(model.round.invite_seconds))


def pause(model: ChatModel) -> str:
    """Return two words about why nothing goes between anybody now; "" while it does."""
    if model.connection in {ConnectionState.CONNECTING, ConnectionState.WAITING}:
        return _("no connection")
    if model.keeping:
        return _("sending pauses")
    return _("rounds pause") if model.standby else ""


def is_lively(model: ChatModel, talk: Talk) -> bool:
    """Return whether the two are in sync, as far as is known now."""
    return talk.state in {PeerState.CONNECTED, PeerState.QUIET} and not pause(model)


def brief(model: ChatModel, talk: Talk) -> str:
    """Return two or three words about where a talk stands: only what is known, for lists and headings."""
    if talk.is_group:
        if talk.group is GroupState.INVITED:
            return _("asks you to join")
        return _("left") if talk.group is GroupState.LEFT else ", ".join(talk.members)
    if talk.asks:
        return _("wants to talk to you")
    if talk.state in _NEEDS_ROUNDS and (why := pause(model)):
        return why
    return _(_BRIEF[talk.state]) if _BRIEF[talk.state] else ""


_NEEDS_ROUNDS = _MAY_SEND | {PeerState.AGREED, PeerState.ENDING}
_BRIEF = {
    PeerState.IDLE: "",
    PeerState.WAITING: N_("waits for a free place"),
    PeerState.ASKING: N_("asked, waiting"),
    PeerState.AGREED: N_("meeting …"),
    PeerState.CONNECTED: N_("connected"),
    PeerState.QUIET: N_("quiet"),
    PeerState.RESUMING: N_("out of reach"),
    PeerState.ENDING: N_("ending …"),
    PeerState.ENDED: N_("ended"),
}

"""What the status bar says about privacy: among how many we are hidden, and whom that takes trust in."""

from __future__ import annotations

from iirs.chain import ONE_SERVER
from iirs.client.model.chat_model import ChatModel
from iirs.client.text.translate import N_, _, n_

HIDDEN = (
    N_("Hidden from the network: whom you talk to, when, how much, and whether you talk at all."),
    N_(
        "Hidden from all but those you talk to: what you say. Compare safety numbers, to be "
        "sure who they are."
    ),
    N_("Not hidden: that you use iirs, that you are registered on this server, and when you are online."),
)
SEVERAL_SERVERS = N_(
    "With several, it stays hidden if any one of them is honest; if others interfere, for a while."
)
MORE_SERVERS = N_(
    "This chain has {servers} servers: who talks to whom stays hidden if any one of them is honest; "
    "if others interfere, for a while."
)


def hidden_among(model: ChatModel) -> str:
    """Return among how many people we are hidden now; "" before the first round."""
    if model.round is None:
        return ""
    online = model.round.online
    if online <= 1:
        return _("Nobody else is online to hide among")
    servers = model.servers
    among = n_("Hidden among {online} person online", "Hidden among {online} people online", online)
    through = n_("{servers} server that must be trusted", "{servers} servers", servers)
    return among.format(online=online) + ", " + through.format(servers=servers)


def explained(servers: int) -> str:
    """Return some sentences about what is hidden on a chain of so many servers, and what is not."""
    last = ONE_SERVER if servers == 1 else MORE_SERVERS
    return "\n".join((*(_(sentence) for sentence in HIDDEN), _(last).format(servers=servers)))

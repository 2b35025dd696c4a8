"""Every operation of the vectors, answered by this implementation."""

from __future__ import annotations

from collections.abc import Callable

from tests.reference import (
    accounts,
    chain,
    conversations,
    directory,
    groups,
    hpke,
    invitations,
    links,
    onions,
    rounds,
)
from tests.reference.primitives import Values

OPERATIONS: dict[str, Callable[..., Values]] = {
    function.__name__: function
    for function in (
        accounts.open_vault,
        accounts.read_account,
        accounts.read_directory,
        accounts.login_ticket,
        accounts.read_login,
        accounts.read_register,
        accounts.seal_vault,
        accounts.stretch_password,
        chain.read_chain,
        chain.read_link,
        conversations.open_peer_message,
        conversations.renewed_keys,
        conversations.round_keys,
        conversations.seal_peer_message,
        directory.directory_digests,
        directory.extend_directory,
        directory.read_entry,
        directory.read_head,
        directory.read_prekey,
        directory.safety_number,
        groups.group_id,
        groups.read_group_item,
        groups.read_note,
        groups.ring,
        groups.sign_group_item,
        hpke.hpke_load,
        hpke.hpke_open,
        hpke.hpke_public,
        hpke.hpke_seal,
        invitations.agree,
        invitations.decide,
        invitations.open_invitation,
        invitations.seal_invitation,
        links.read_chunk,
        links.read_link_answer,
        links.read_link_request,
        links.read_prepared,
        onions.channel_open,
        onions.channel_seal,
        onions.open_offer,
        onions.pass_cell,
        onions.peel_onion,
        onions.read_epoch_key,
        onions.unwrap_cell,
        onions.wrap_cell,
        onions.wrap_onion,
        rounds.follow,
        rounds.read_announce,
        rounds.read_bundle,
        rounds.read_replies,
        rounds.read_standby,
        rounds.read_upload,
    )
}

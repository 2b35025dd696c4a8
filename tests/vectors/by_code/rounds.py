"""What is said in a round."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import cast

from iirs.chain import Chain, parse_chain
from iirs.client.account.account import Account
from iirs.client.chain_view import ChainView
from iirs.client.store.store import ClientStore
from iirs.epoch import EpochKey
from iirs.errors import PeerError
from iirs.message import MessageKind, MessageReader
from iirs.wire import limits, rounds
from tests.vectors.by_code.common import Values, fields_of, said

ORDER = [MessageKind.SETUP, MessageKind.INVITE, MessageKind.UPLOAD]


def read_announce(file: str, frame: bytes) -> Values:
    chain, message = said(file, frame, MessageKind.ANNOUNCE)
    notice = rounds.NoticeFlags.decode(message.body[0])
    announcement = rounds.Announcement.decode(message.body[1:], chain.geometry)
    announcement.head.verify(chain)
    values = fields_of(announcement)
    del values["flags"], values["head"]
    return {
        **values,
        "notice": int(notice),
        "has_invitations": announcement.has_invitations,
        "head_length": announcement.head.length,
        "head_digest": announcement.head.digest,
        "announcement_hash": rounds.announcement_hash(message.body[1:]),
    }


def read_upload(file: str, frame: bytes) -> Values:
    chain = parse_chain(file.encode())
    upload = rounds.Upload.decode(*parts_of(frame, chain), chain.geometry)
    errand = upload.errand
    secrets = {"login_secret": errand.login_secret, "vault": errand.vault}
    return {**fields_of(upload), "errand": int(errand.kind), **secrets}


def parts_of(frame: bytes, chain: Chain) -> tuple[bytes, dict[MessageKind, bytes]]:
    """The body of an UPLOAD, and of what came before it in one write, as a connection reads them."""
    reader = MessageReader(limits.upload_limits(chain.geometry))
    reader.feed(frame)
    messages = []
    while (message := reader.next_message()) is not None:
        messages.append(message)
    kinds = [message.kind for message in messages]
    if not reader.at_boundary or kinds != sorted(set(kinds), key=ORDER.index) or kinds[-1:] != ORDER[-1:]:
        raise PeerError("not one whole upload")
    *before, upload = messages
    return upload.body, {message.kind: message.body for message in before}


def follow(file: str, first: bytes, frame: bytes) -> Values:
    chain = parse_chain(file.encode())
    view = ChainView(cast(Account, SimpleNamespace(chain=chain)), cast(ClientStore, None))
    for shown in (first, frame):
        read_announce(file, shown)
        body = said(file, shown, MessageKind.ANNOUNCE)[1].body[1:]
        announcement = rounds.Announcement.decode(body, chain.geometry)
        view.take_place(announcement, rounds.announcement_hash(body))
        if shown is first:
            view.settle_bundle(announcement)
    return {"sets_up": announcement.is_setup}


def read_replies(file: str, frame: bytes) -> Values:
    chain, message = said(file, frame, MessageKind.REPLIES)
    replies = rounds.Replies.decode(message.body, chain.geometry)
    return {**fields_of(replies), "status": int(replies.status)}


def read_standby(file: str, frame: bytes) -> Values:
    chain, message = said(file, frame, MessageKind.STANDBY)
    return {"hop": rounds.Standby.decode(message.body, chain.geometry).hop or 0}


def read_bundle(file: str, frame: bytes) -> Values:
    chain, message = said(file, frame, MessageKind.BUNDLE)
    bundle = rounds.Bundle.decode(message.body, chain)
    hashes = [EpochKey(0, 0, 0, invitation, b"").key_id for invitation in bundle.invitations]
    return {"round_number": bundle.round_number, "invitation_hashes": hashes, "digest": bundle.digest}


OPERATIONS: dict[str, Callable[..., Values]] = {
    function.__name__: function
    for function in (
        follow,
        read_announce,
        read_bundle,
        read_replies,
        read_standby,
        read_upload,
    )
}

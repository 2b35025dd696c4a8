"""What is said in a round."""

from __future__ import annotations

from collections.abc import Callable

from iirs.epoch import EpochKey
from iirs.message import (
    MessageKind,
)
from iirs.wire import rounds
from tests.vectors.by_code.common import Values, fields_of, said


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
    chain, message = said(file, frame, MessageKind.UPLOAD, MessageKind.UPLOAD_INVITE)
    upload = rounds.Upload.decode(message, chain.geometry)
    errand = upload.errand
    secrets = {"login_secret": errand.login_secret, "vault": errand.vault}
    return {**fields_of(upload), "errand": int(errand.kind), **secrets}


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
        read_announce,
        read_bundle,
        read_replies,
        read_standby,
        read_upload,
    )
}

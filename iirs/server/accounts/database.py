"""What the server keeps: accounts in order of registration, and a few numbers, through SQLAlchemy."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from sqlalchemy import (
    BigInteger,
    Integer,
    LargeBinary,
    String,
    Table,
    bindparam,
    create_engine,
    delete,
    event,
    insert,
    select,
    update,
)
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.pool import StaticPool

from iirs.errors import AccountError, ConfigError

LAST_ROUND = "last_round"


class _Base(DeclarativeBase):
    pass


class _Account(_Base):
    __tablename__ = "account"
    position: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(String(32), unique=True)
    entry: Mapped[bytes] = mapped_column(LargeBinary)
    salt: Mapped[bytes] = mapped_column(LargeBinary)
    secret_hash: Mapped[bytes] = mapped_column(LargeBinary)
    vault: Mapped[bytes] = mapped_column(LargeBinary)
    last_round: Mapped[int] = mapped_column(BigInteger, default=0)


class _Prekey(_Base):
    __tablename__ = "prekey"
    position: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    record: Mapped[bytes] = mapped_column(LargeBinary)


class _Number(_Base):
    __tablename__ = "number"
    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    value: Mapped[int] = mapped_column(BigInteger)


@dataclass(frozen=True, slots=True)
class StoredAccount:
    """One account as the server holds it: nothing here opens the vault."""

    position: int
    name: str
    entry: bytes = field(repr=False)
    salt: bytes = field(repr=False)
    secret_hash: bytes = field(repr=False)
    vault: bytes = field(repr=False)
    last_round: int = 0


class Storage:
    """Accounts and numbers. Safe from any thread: writes are serialised by one lock."""

    def __init__(self, place: str | Path) -> None:
        """Open (and create) the database: an SQLAlchemy URL, or a file's path for SQLite.

        Raises ``ConfigError`` if that is not possible.
        """
        self._lock = threading.Lock()
        self._closed = False
        try:
            self._engine = _engine(_url(place))
            _Base.metadata.create_all(self._engine)
        except (SQLAlchemyError, ModuleNotFoundError, ValueError) as error:  # a URL's port may be no number
            raise ConfigError(
                "The database cannot be opened: check --database-url, the folder's permissions, and "
                "that the database's driver is installed."
            ) from error

    def accounts(self) -> list[StoredAccount]:
        """Return every account, in order of registration."""
        with self._lock, Session(self._engine) as session:
            rows = session.scalars(select(_Account).order_by(_Account.position))
            return [_stored(row) for row in rows]

    def add(self, account: StoredAccount) -> None:
        """Keep a new account. Raises ``AccountError`` if name or position is taken."""
        columns = {item: getattr(account, item) for item in StoredAccount.__slots__}
        with self._lock, Session(self._engine) as session:
            session.add(_Account(**columns))
            try:
                session.commit()
            except IntegrityError as error:
                raise AccountError("That name is taken.") from error

    def change(self, account: StoredAccount) -> None:
        """Keep an account's new secret and vault; all else about it stays as it is."""
        values = {"salt": account.salt, "secret_hash": account.secret_hash, "vault": account.vault}
        change = update(_Account).where(_Account.position == account.position).values(**values)
        with self._lock, Session(self._engine) as session:
            session.execute(change)
            session.commit()

    def set_last_round(self, position: int, round_number: int) -> None:
        """Remember the last round in which an account took part; an earlier one changes nothing."""
        # A replaced connection may end after the newer one, with less to say.
        older = (_Account.position == position) & (_Account.last_round < round_number)
        change = update(_Account).where(older).values(last_round=round_number)
        with self._lock, Session(self._engine) as session:
            if self._closed:
                return  # a connection that outlived the server; the client's own store knows better
            session.execute(change)
            session.commit()

    def last_round(self, position: int) -> int:
        """Return the last round in which an account took part, or 0."""
        with self._lock, Session(self._engine) as session:
            value = session.scalar(select(_Account.last_round).where(_Account.position == position))
            return value or 0

    def prekeys(self) -> list[bytes]:
        """Return the kept prekey of every account that has one."""
        with self._lock, Session(self._engine) as session:
            return list(session.scalars(select(_Prekey.record)))

    def keep_prekeys(self, records: Mapping[int, bytes], forgotten: Iterable[int] = ()) -> None:
        """Keep prekeys, each in place of the former one of the account at its position; forget others."""
        table = cast(Table, _Prekey.__table__)
        over = [{"over": position} for position in {*records, *forgotten}]
        fresh = [{"position": position, "record": record} for position, record in records.items()]
        with self._lock, self._engine.begin() as connection:
            if over:
                connection.execute(delete(table).where(table.c.position == bindparam("over")), over)
            if fresh:
                connection.execute(insert(table), fresh)

    def number(self, name: str) -> int:
        """Return a kept number, or 0."""
        with self._lock, Session(self._engine) as session:
            row = session.get(_Number, name)
            return row.value if row else 0

    def set_number(self, name: str, value: int) -> None:
        """Keep a number; on return it is on disk."""
        with self._lock, Session(self._engine) as session:
            session.merge(_Number(name=name, value=value))
            session.commit()

    def close(self) -> None:
        """Let go of the database."""
        with self._lock:
            self._closed = True
            self._engine.dispose()


def _url(place: str | Path) -> URL:
    if isinstance(place, str):
        return make_url(place)
    # Not a URL made of text: a path may hold any character, "?", "#" and "%" included.
    return URL.create("sqlite", database=str(place.resolve()))


def _engine(url: URL) -> Engine:
    if url.get_backend_name() == "sqlite" and not url.database:
        return create_engine(url, poolclass=StaticPool, connect_args={"check_same_thread": False})
    engine = create_engine(url, pool_pre_ping=True)
    if engine.dialect.name == "sqlite":

        @event.listens_for(engine, "connect")
        def _configure(connection: object, _record: object) -> None:
            cursor = connection.cursor()  # type: ignore[attr-defined]  # DB-API, untyped in SQLAlchemy
            cursor.execute("PRAGMA journal_mode=WAL")
            cursor.execute("PRAGMA synchronous=FULL")
            cursor.close()

    return engine


def _stored(row: _Account) -> StoredAccount:
    return StoredAccount(
        row.position, row.name, row.entry, row.salt, row.secret_hash, row.vault, row.last_round
    )

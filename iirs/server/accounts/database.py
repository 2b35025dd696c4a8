"""What the server keeps: accounts in order of registration, and a few numbers, through SQLAlchemy."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
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
    inspect,
    select,
    update,
)
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.pool import StaticPool

from iirs.errors import AccountError, ConfigError, StorageError

LAST_ROUND = "last_round"
"""The number of this name: no round after it has been announced."""
USED_ROUND = "used_round"
USED_CLOCK = "used_clock"
USED_UPTIME = "used_uptime"
"""The last round that is stored as announced; when, as a round number; and how many ms after boot."""
_BEGUN = "begun"
FORM_NAME = "form"
FORM = 1
"""The number of this name says the form of the tables. Whoever changes them raises it, and converts what has
a lower one; a database that does not have it yet differs at most in having no prekeys."""
_CONNECT_SECONDS = 10
# It logs errors of connections that end, with tracebacks; what matters of them is raised, and said once.
logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL)


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
    """Accounts and numbers. Safe from any thread: writes are serialised by one lock.

    What is read at the start raises ``ConfigError`` if it cannot be read, everything else ``StorageError``.
    Neither quotes what was to be stored, or what the database says of it.
    """

    def __init__(self, place: str | Path) -> None:
        """Open (and create) the database: an SQLAlchemy URL, or a file's path for SQLite.

        Raises ``ConfigError`` if that is not possible.
        """
        self._lock = threading.Lock()
        self._closed = False
        try:
            self._engine = _engine(_url(place))
            has_numbers = inspect(self._engine).has_table(_Number.__tablename__)
            form = self.number(FORM_NAME) if has_numbers else 0
            if form <= FORM:
                _Base.metadata.create_all(self._engine)
        except (SQLAlchemyError, ModuleNotFoundError, ValueError) as error:  # a URL's port may be no number
            raise ConfigError(
                "The database cannot be opened: check --database-url, the folder's permissions, and "
                f"that the database's driver is installed ({_kind(error)})."
            ) from None  # an URL may hold a password
        if form > FORM:
            self.close()
            raise ConfigError("The database was written by a newer iirs: run that one.")

    def accounts(self) -> list[StoredAccount]:
        """Return every account, in order of registration."""
        with self._lock, _reading(), Session(self._engine) as session:
            rows = session.scalars(select(_Account).order_by(_Account.position))
            return [_stored(row) for row in rows]

    def remove_from(self, position: int) -> None:
        """Forget the accounts from a position on: those that nobody was ever told of."""
        with self._lock, _working(), self._engine.begin() as connection:
            connection.execute(delete(_Account).where(_Account.position >= position))

    def add(self, account: StoredAccount) -> None:
        """Keep a new account. Raises ``AccountError`` if name or position is taken."""
        columns = {item: getattr(account, item) for item in StoredAccount.__slots__}
        with self._lock, _working(), Session(self._engine) as session:
            session.add(_Account(**columns))
            try:
                session.commit()
            except IntegrityError:
                raise AccountError("That name is taken.") from None  # it names the name

    def change(self, account: StoredAccount) -> None:
        """Keep an account's new secret and vault; all else about it stays as it is."""
        values = {"salt": account.salt, "secret_hash": account.secret_hash, "vault": account.vault}
        change = update(_Account).where(_Account.position == account.position).values(**values)
        with self._lock, _working(), Session(self._engine) as session:
            session.execute(change)
            session.commit()

    def set_last_round(self, position: int, round_number: int) -> None:
        """Remember the last round in which an account took part; an earlier one changes nothing."""
        self.set_last_rounds({position: round_number})

    def set_last_rounds(self, rounds: Mapping[int, int]) -> None:
        """Remember the last round in which each of these accounts took part."""
        table = cast(Table, _Account.__table__)
        older = (table.c.position == bindparam("at")) & (table.c.last_round < bindparam("number"))
        change = update(table).where(older).values(last_round=bindparam("number"))
        with self._lock, _working(), self._engine.begin() as connection:
            connection.execute(change, [{"at": at, "number": number} for at, number in rounds.items()])

    def last_round(self, position: int) -> int:
        """Return the last round in which an account took part, or 0."""
        with self._lock, _working(), Session(self._engine) as session:
            value = session.scalar(select(_Account.last_round).where(_Account.position == position))
            return value or 0

    def prekeys(self) -> list[bytes]:
        """Return the kept prekey of every account that has one."""
        with self._lock, _reading(), Session(self._engine) as session:
            return list(session.scalars(select(_Prekey.record)))

    def keep_prekeys(self, records: Mapping[int, bytes], forgotten: Iterable[int] = ()) -> None:
        """Keep prekeys, each in place of the former one of the account at its position; forget others."""
        table = cast(Table, _Prekey.__table__)
        over = [{"over": position} for position in {*records, *forgotten}]
        fresh = [{"position": position, "record": record} for position, record in records.items()]
        with self._lock, _working(), self._engine.begin() as connection:
            if over:
                connection.execute(delete(table).where(table.c.position == bindparam("over")), over)
            if fresh:
                connection.execute(insert(table), fresh)

    def number(self, name: str) -> int:
        """Return a kept number, or 0."""
        with self._lock, _reading(), Session(self._engine) as session:
            row = session.get(_Number, name)
            return int(row.value) if row else 0

    def set_number(self, name: str, value: int) -> None:
        """Keep a number; on return it is on disk."""
        self.set_numbers({name: value})

    def set_numbers(self, numbers: Mapping[str, int]) -> None:
        """Keep numbers, all or none; on return they are on disk."""
        with self._lock, _working(), Session(self._engine) as session:
            for name, value in numbers.items():
                session.merge(_Number(name=name, value=value))
            session.commit()

    def number_rounds_from(self, round_number: int) -> None:
        """Take this round for the last that was used, and later ones for unused. Raises ``ConfigError``.

        Whoever took part in later ones remembers that, and only they then refuse what comes.
        """
        table, number = cast(Table, _Account.__table__), cast(Table, _Number.__table__)
        with self._lock, _reading(), self._engine.begin() as connection:
            last = number.c.name == LAST_ROUND
            connection.execute(update(number).where(last).values(value=round_number))
            connection.execute(delete(number).where(number.c.name.in_((USED_ROUND, USED_CLOCK, USED_UPTIME))))
            took_part = table.c.last_round > round_number
            connection.execute(update(table).where(took_part).values(last_round=round_number))

    def has_begun(self) -> bool:
        """Whether a server has ever used this database."""
        with self._lock, _reading(), Session(self._engine) as session:
            return any(session.scalars(select(table).limit(1)).first() for table in (_Number, _Account))

    def begin(self) -> None:
        """Keep that a server uses this database, and the form it has now."""
        with self._lock, _reading(), Session(self._engine) as session:
            session.merge(_Number(name=_BEGUN, value=1))
            session.merge(_Number(name=FORM_NAME, value=FORM))
            session.commit()

    def close(self) -> None:
        """Let go of the database, unless it is busy and stays so: then its process's end does."""
        if self._lock.acquire(timeout=1.0):
            self._closed = True
            self._engine.dispose()
            self._lock.release()


@contextmanager
def _working() -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        raise StorageError(_kind(error)) from None  # it may quote a name


@contextmanager
def _reading() -> Iterator[None]:
    try:
        yield
    except (SQLAlchemyError, TypeError, ValueError) as error:  # a damaged row may hold anything
        raise ConfigError(
            f"The database cannot be read or written ({_kind(error)}): it is damaged, the disk is full, or "
            "it does not answer. If it is damaged, restore it from a copy."
        ) from None


def _kind(error: Exception) -> str:
    """Return what went wrong, in the database's own names for it and in nobody's."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    code = getattr(cause, "sqlite_errorname", None) or getattr(cause, "sqlstate", None)
    code = code or getattr(cause, "pgcode", None)
    return f"{type(cause).__name__}{f', {code}' if code else ''}"


def _url(place: str | Path) -> URL:
    if isinstance(place, str):
        return make_url(place)
    # Not a URL made of text: a path may hold any character, "?", "#" and "%" included.
    return URL.create("sqlite", database=str(place.resolve()))


def _engine(url: URL) -> Engine:
    if url.get_backend_name() == "sqlite" and not url.database:
        return create_engine(
            url, hide_parameters=True, poolclass=StaticPool, connect_args={"check_same_thread": False}
        )
    # libpq alone waits for ever for a machine that is gone.
    bounded = {"connect_timeout": _CONNECT_SECONDS, "tcp_user_timeout": 1000 * _CONNECT_SECONDS}
    bounded = bounded if url.get_driver_name() in {"psycopg", "psycopg2"} else {}
    engine = create_engine(url, hide_parameters=True, pool_pre_ping=True, connect_args=bounded)
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

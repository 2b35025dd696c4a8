"""A server's database of every earlier form is opened by today's program; a newer one is refused.

``tests/stores`` holds one of each as SQL, as the programs of their time made them.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from iirs.errors import ConfigError
from iirs.server.accounts.database import FORM, FORM_NAME, LAST_ROUND, Storage, StoredAccount
from iirs.server.keystore import ChainOptions, load_or_make_keys

FOLDER = Path(__file__).parent / "stores"
TODAY = f"server_form_{FORM}"
ACCOUNTS = [
    StoredAccount(0, "alice", b"e0" * 8, b"s0" * 8, b"h0" * 16, b"v0" * 20, 5),
    StoredAccount(1, "bob", b"e1" * 8, b"s1" * 8, b"h1" * 16, b"v1" * 20, 6),
]


def kept(name: str, folder: Path) -> Path:
    path = folder / "server.sqlite"
    with closing(sqlite3.connect(path)) as database:
        database.executescript((FOLDER / f"{name}.sql").read_text(encoding="utf-8"))
    return path


def schema(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as database:
        rows = database.execute("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL").fetchall()
        return {" ".join(sql.split()) for (sql,) in rows}


@pytest.mark.parametrize("name", ["server_form_0_no_prekeys", "server_form_0", "server_form_1"])
def test_an_earlier_database_has_its_accounts_numbers_and_prekeys(name: str, tmp_path: Path) -> None:
    path = kept(name, tmp_path)
    for _ in range(2):
        storage = Storage(path)
        assert storage.accounts() == ACCOUNTS
        assert storage.number(LAST_ROUND) == 41
        assert storage.prekeys() == ([] if "no_prekeys" in name else [b"p" * 20])
        assert storage.has_begun()
        storage.begin()
        assert storage.number(FORM_NAME) == FORM
        storage.close()
    storage = Storage(tmp_path / "new.sqlite")
    assert not storage.has_begun()
    storage.close()
    assert schema(path) == schema(tmp_path / "new.sqlite")


def test_tables_do_not_change_without_a_new_number(tmp_path: Path) -> None:
    """If this fails: raise ``FORM``, convert what was before, keep a file of the new form."""
    Storage(tmp_path / "new.sqlite").close()
    before = kept(TODAY, tmp_path)
    assert schema(before) == schema(tmp_path / "new.sqlite")
    with closing(sqlite3.connect(before)) as database:
        database.execute("ALTER TABLE account ADD COLUMN more TEXT")
    assert schema(before) != schema(tmp_path / "new.sqlite")


def test_a_newer_database_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    """Fixed: it was opened, its tables taken for today's."""
    path = kept(TODAY, tmp_path)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("UPDATE number SET value = ? WHERE name = ?", (FORM + 1, FORM_NAME))
        database.execute("DROP TABLE prekey")
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="newer iirs"):
        Storage(path)
    assert path.read_bytes() == before


def test_a_data_directory_of_an_earlier_chain_file_is_not_called_damaged(tmp_path: Path) -> None:
    """Fixed: it was, though it was as the first programs had written it: without prekeys and noise."""
    load_or_make_keys(tmp_path, ChainOptions())
    file = tmp_path / "chain.toml"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(line for line in lines if not line.startswith(("prekey_", "noise_"))))
    with pytest.raises(ConfigError, match="chain file is damaged or of another version"):
        load_or_make_keys(tmp_path, ChainOptions())

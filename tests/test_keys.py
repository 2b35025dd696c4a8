"""From a password to keys, and the vault that lets an account work on any machine."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iirs.client.account.password_keys import (
    PASSWORD_MIN,
    STANDARD_COST,
    PasswordKeys,
    StretchCost,
    check_password,
    open_vault,
    prepared,
    seal_vault,
    storage_key,
    stretch,
)
from iirs.client.main import read_password
from iirs.errors import AccountError, ConfigError
from iirs.geometry import VAULT_SIZE
from tests.builders import entry_of, make_chain, person

CHEAP = StretchCost(memory_kib=64, passes=1, lanes=1)
CHAIN_ID = bytes(32)
WORDS = "correct horse battery"
KEYS = stretch(CHAIN_ID, "alice", WORDS, CHEAP)
PUBLIC = entry_of(make_chain().chain, "alice").raw


# -- stretching ----------------------------------------------------------------------------------------


def test_the_same_password_gives_the_same_keys_and_the_two_are_unlike() -> None:
    assert stretch(CHAIN_ID, "alice", WORDS, CHEAP) == KEYS
    assert stretch(CHAIN_ID, "Alice", WORDS, CHEAP) == KEYS
    assert len(KEYS.login_secret) == len(KEYS.vault_key) == 32
    assert KEYS.login_secret != KEYS.vault_key
    assert repr(KEYS) == "PasswordKeys()"


@pytest.mark.parametrize(
    ("chain_id", "name", "password", "cost"),
    [
        (b"\1" * 32, "alice", WORDS, CHEAP),
        (CHAIN_ID, "bob", WORDS, CHEAP),
        (CHAIN_ID, "alice", WORDS + " ", CHEAP),
        (CHAIN_ID, "alice", WORDS.upper(), CHEAP),
        (CHAIN_ID, "alice", "", CHEAP),
        (CHAIN_ID, "alice", WORDS, replace(CHEAP, passes=2)),
        (CHAIN_ID, "alice", WORDS, replace(CHEAP, memory_kib=128)),
    ],
    ids=["chain", "name", "longer", "case", "empty", "passes", "memory"],
)
def test_anything_else_gives_other_keys(chain_id: bytes, name: str, password: str, cost: StretchCost) -> None:
    other = stretch(chain_id, name, password, cost)
    assert other.login_secret != KEYS.login_secret
    assert other.vault_key != KEYS.vault_key


@pytest.mark.parametrize(
    "password", ["пароль из слов", "\U0001f600" * 12, "a\0b" * 5, "\ud800 lone surrogate"]
)
def test_any_text_can_be_a_password(password: str) -> None:
    assert stretch(CHAIN_ID, "alice", password, CHEAP) == stretch(CHAIN_ID, "alice", password, CHEAP)


def test_the_standard_cost_is_the_second_recommended_option_of_rfc_9106() -> None:
    assert StretchCost(64 * 1024, 3, 4) == STANDARD_COST


# -- passwords -----------------------------------------------------------------------------------------


SAME = [
    ("caf\u00e9 und no\u00ebl", "cafe\u0301 und noe\u0308l"),  # one code point or two for a letter
    ("three\u00a0words\u3000here", "three words here"),  # the spaces of other keyboards
    ("\uac00\ub098\ub2e4 \ub77c\ub9c8", "\u1100\u1161\u1102\u1161\u1103\u1161 \u1105\u1161\u1106\u1161"),
    ("caf\udcc3\udca9 und tee", "caf\u00e9 und tee"),  # bytes that a terminal could not decode
    ("\ud83d\ude00 und tee", "\U0001f600 und tee"),  # a pair in two halves
]


@pytest.mark.parametrize(("typed", "other"), SAME)
def test_a_password_is_the_same_however_it_is_typed(typed: str, other: str) -> None:
    assert typed != other
    assert stretch(CHAIN_ID, "alice", typed, CHEAP) == stretch(CHAIN_ID, "alice", other, CHEAP)


@pytest.mark.parametrize(
    "other", [f" {WORDS}", f"{WORDS} ", WORDS.upper(), WORDS.replace(" ", "  "), WORDS.replace("o", "\uff4f")]
)
def test_nothing_is_trimmed_and_no_letter_is_another(other: str) -> None:
    assert stretch(CHAIN_ID, "alice", other, CHEAP) != stretch(CHAIN_ID, "alice", WORDS, CHEAP)


@given(st.text())
def test_preparing_twice_changes_nothing_more(password: str) -> None:
    assert prepared(prepared(password)) == prepared(password)


@pytest.mark.parametrize("ending", ["", "\n", "\r\n", "\nmore\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("password", [WORDS, f" {WORDS} ", "three\u2028parts\x85of\x0cone line"])
def test_a_file_holds_the_password_as_it_is_typed(
    password: str, mark: str, ending: str, tmp_path: Path
) -> None:
    path = tmp_path / "password"
    path.write_bytes(f"{mark}{password}{ending}".encode())
    assert read_password(path) == password


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"\r\n", b"\xef\xbb\xbf\nwords", b"\xff\xfea\0b\0", b"caf\xe9 words"]
)
def test_a_file_that_holds_none_is_a_sentence(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "password"
    with pytest.raises(ConfigError, match="password file"):
        read_password(path)
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="password file"):
        read_password(path)


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("alice", WORDS),
        ("alice", "пароль из слов"),
        ("alice", "kettle blue seven"),
        ("alice", "A1!b2?C3.d4"),
        ("al", "coal kettle tuesday"),  # a short name is in many words
        ("a", "a kettle on a roof"),
        ("e", "blue kettle seven"),
        ("alice", "alice met nine grey horses"),
    ],
)
def test_a_password_that_is_hard_to_guess_is_taken_whatever_the_name(name: str, password: str) -> None:
    check_password(name, password)


@pytest.mark.parametrize(
    ("password", "sentence"),
    [
        ("", "at least 10"),
        ("a" * (PASSWORD_MIN - 1), "at least 10"),
        ("a" * 40, "easy to guess"),
        ("a" * 100_000, "easy to guess"),
        ("abababababab", "easy to guess"),
        ("abcdefghij", "easy to guess"),
        ("1212341234", "easy to guess"),
        ("1234567890", "easy to guess"),
        ("qwertyuiop", "easy to guess"),
        ("Passw0rd123", "easy to guess"),
        ("iloveyou1234", "easy to guess"),
        ("alicealice", "easy to guess"),
        ("AliceAlice1", "easy to guess"),
        ("Wonderland", "easy to guess"),
        ("iirsiirsiirs", "easy to guess"),
        ("e\u0301" * 9, "at least 10"),  # nine letters, though eighteen code points
    ],
)
def test_a_weak_password_is_refused_with_advice(password: str, sentence: str) -> None:
    with pytest.raises(AccountError, match=sentence) as refusal:
        check_password("Alice", password)
    assert not password or password not in str(refusal.value)


# -- the vault -----------------------------------------------------------------------------------------


def test_a_vault_gives_back_the_identity_and_always_has_one_size() -> None:
    vault = seal_vault(KEYS, "alice", person("alice"), PUBLIC, os.urandom)
    assert len(vault) == VAULT_SIZE
    assert open_vault(KEYS, "alice", PUBLIC, vault).to_bytes() == person("alice").to_bytes()
    assert person("alice").to_bytes()[:32] not in vault
    assert seal_vault(KEYS, "alice", person("alice"), PUBLIC, os.urandom) != vault


def test_a_vault_opens_with_the_right_password_name_and_entry_only() -> None:
    vault = seal_vault(KEYS, "alice", person("alice"), PUBLIC, os.urandom)
    other_keys = stretch(CHAIN_ID, "alice", "another password", CHEAP)
    attempts = [
        (other_keys, "alice", PUBLIC, vault),
        (PasswordKeys(KEYS.login_secret, KEYS.login_secret), "alice", PUBLIC, vault),
        (KEYS, "bob", PUBLIC, vault),
        (KEYS, "alice", PUBLIC[:-1] + bytes([PUBLIC[-1] ^ 1]), vault),
        (KEYS, "alice", PUBLIC, vault[:-1]),
        (KEYS, "alice", PUBLIC, b""),
        (KEYS, "alice", PUBLIC, os.urandom(VAULT_SIZE)),
    ]
    for keys, name, public, sealed in attempts:
        with pytest.raises(AccountError, match="do not open here"):
            open_vault(keys, name, public, sealed)


def test_a_vault_changed_anywhere_does_not_open() -> None:
    vault = seal_vault(KEYS, "alice", person("alice"), PUBLIC, os.urandom)
    for place in range(VAULT_SIZE):
        with pytest.raises(AccountError):
            open_vault(KEYS, "alice", PUBLIC, vault[:place] + bytes([vault[place] ^ 1]) + vault[place + 1 :])


# -- the key of this machine's files -------------------------------------------------------------------


def test_the_storage_key_belongs_to_the_identity_and_not_to_the_password() -> None:
    vault = seal_vault(KEYS, "alice", person("alice"), PUBLIC, os.urandom)
    new_keys = stretch(CHAIN_ID, "alice", "a new password", CHEAP)
    new_vault = seal_vault(new_keys, "alice", person("alice"), PUBLIC, os.urandom)
    before = storage_key(open_vault(KEYS, "alice", PUBLIC, vault))
    assert storage_key(open_vault(new_keys, "alice", PUBLIC, new_vault)) == before
    assert storage_key(person("bob")) != before
    assert before not in person("alice").to_bytes()

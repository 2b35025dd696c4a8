"""``iirs-chain``: whole chains at once, and chains put together by owners who need not trust each other."""

from __future__ import annotations

import os
import stat
import tomllib
from pathlib import Path

import pytest

from iirs.chain import Chain, parse_chain
from iirs.client import main as client_main
from iirs.client.main import _pinned_link
from iirs.errors import ConfigError
from iirs.server.hops.setup_main import HOP_FILE, main, measure
from iirs.server.keystore import (
    CHAIN_FILE,
    IDENTITY_FILE,
    KEY_FILE,
    ChainOptions,
    load_hop_keys,
    load_or_make_keys,
)

FORCED = ("--noise-mu", "20", "--noise-b", "2", "--force")
ENOUGH = ("--noise-mu", "1000", "--noise-b", "48")


def read(folder: Path) -> Chain:
    return parse_chain((folder / CHAIN_FILE).read_bytes())


def three_hops(folder: Path) -> list[Path]:
    """Three owners make a hop each; return their public parts."""
    for number in range(3):
        place = ("--entry",) if number == 0 else ("--address", f"192.0.2.{number}:12346")
        assert main(["hop", str(folder / f"school{number}"), "--name", f"school-{number}", *place]) == 0
    return [folder / f"school{number}" / HOP_FILE for number in range(3)]


def test_a_chain_made_at_once_gives_each_hop_the_file_and_its_own_secrets(tmp_path: Path) -> None:
    assert main(["init", str(tmp_path / "chain"), "--hops", "4", "--first-port", "20000", *ENOUGH]) == 0
    chain = read(tmp_path / "chain")
    assert [hop.address for hop in chain.hops] == [
        "",
        *(f"127.0.0.1:{port}" for port in (20000, 20001, 20002)),
    ]
    assert (chain.noise.mu, chain.noise.b, chain.noise.forced) == (1000, 48, False)
    for number in range(4):
        folder = tmp_path / "chain" / f"hop{number}"
        assert read(folder) == chain
        if number:
            assert load_hop_keys(folder).hop == number
        else:
            assert load_or_make_keys(folder, ChainOptions()).chain == chain


@pytest.mark.skipif(os.name != "posix", reason="other systems have no such modes")
def test_secrets_are_for_their_owner_alone_and_a_hop_refuses_others(tmp_path: Path) -> None:
    main(["init", str(tmp_path / "chain"), *ENOUGH])
    secrets = [path for path in (tmp_path / "chain").rglob("*") if path.suffix == ".key"]
    assert sorted(path.name for path in secrets) == [IDENTITY_FILE] * 3 + [KEY_FILE]
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in secrets)
    (tmp_path / "chain" / "hop1" / IDENTITY_FILE).chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        load_hop_keys(tmp_path / "chain" / "hop1")


def test_three_owners_put_a_chain_together_without_showing_each_other_secrets(tmp_path: Path) -> None:
    parts = three_hops(tmp_path)
    assert main(["join", *map(str, parts), "--output", str(tmp_path / CHAIN_FILE), *ENOUGH]) == 0
    chain = read(tmp_path)
    assert [(hop.name, hop.address) for hop in chain.hops] == [
        ("school-0", ""), ("school-1", "192.0.2.1:12346"), ("school-2", "192.0.2.2:12346"),
    ]  # fmt: skip
    for number in range(3):
        folder = tmp_path / f"school{number}"
        secret = (folder / IDENTITY_FILE).read_bytes()
        assert secret.hex() not in parts[number].read_text()
        assert secret.hex() not in (tmp_path / CHAIN_FILE).read_text()
        (folder / CHAIN_FILE).write_bytes((tmp_path / CHAIN_FILE).read_bytes())
        if number:
            assert load_hop_keys(folder).hop == number
    assert load_or_make_keys(tmp_path / "school0", ChainOptions()).chain == chain


def test_noise_is_sized_by_what_a_circuit_costs_here_and_by_share_and_line(tmp_path: Path) -> None:
    cost = measure("X25519", 3)
    assert cost.peel > 0
    assert cost.make(2) > cost.make(1) > 0
    sizes = {}
    for name, share, line in (("small", "0.1", "1e6"), ("large", "0.9", "1e6"), ("narrow", "0.9", "1")):
        arguments = [str(tmp_path / name), "--suite", "X25519", "--noise-share", share, "--line-mbit", line]
        assert main(["init", *arguments, "--force"]) == 0
        sizes[name] = read(tmp_path / name).noise.mu
    assert sizes["large"] > 2 * sizes["small"] > 2 * sizes["narrow"] > 0


def test_what_a_chain_file_means_is_said_with_its_noise_rounds_and_trust(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["init", str(tmp_path / "chain"), *FORCED])
    capsys.readouterr()
    assert main(["show", str(tmp_path / "chain" / CHAIN_FILE)]) == 0
    said = capsys.readouterr().out
    assert read(tmp_path / "chain").fingerprint in said
    assert "protects nobody" in said
    assert "One honest hop that is not the last" in said
    assert "43,200" in said


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("init", "NEW", "--hops", "1"), "--hops must be 2 to 8"),
        (("init", "NEW", "--hops", "9"), "--hops must be 2 to 8"),
        (("init", "NEW", "--first-port", "65535"), "room for a port a hop"),
        (("init", "NEW", "--noise-mu", "100"), "go together"),
        (("init", "NEW", "--noise-b", "3"), "go together"),
        (("init", "NEW", "--noise-mu", "100", "--noise-b", "3"), "epsilon 1.3"),
        (("init", "NEW", "--noise-mu", "101", "--noise-b", "3", "--force"), "do not make a chain"),
        (("init", "NEW", "--noise-share", "0"), "share"),
        (("init", "NEW", "--noise-share", "nan"), "share"),
        (("init", "NEW", "--slots", "0", *FORCED), "do not make a chain"),
        (("init", "NEW", "--round-seconds", "nan", *FORCED), "do not make a chain"),
        (("init", "FULL", *FORCED), "not empty"),
        (("hop", "FULL", "--name", "a", "--entry"), "has an identity already"),
        (("hop", "NEW", "--name", "a"), "--address HOST:PORT, or --entry"),
        (("hop", "NEW", "--name", "a", "--entry", "--address", "host:1"), "--address HOST:PORT, or --entry"),
        (("hop", "NEW", "--name", "a", "--address", "host"), "must be HOST:PORT"),
        (("hop", "NEW", "--name", "a", "--address", "host:0"), "must be HOST:PORT"),
        (("hop", "NEW", "--name", 'a"b', "--entry"), "without quotes"),
        (("hop", "NEW", "--name", "a\nb", "--entry"), "printable"),
        (("join", "PART1", "PART0", *FORCED), "first part must be the entry's"),
        (("join", "PART0", "PART0", *FORCED), "first part must be the entry's"),
        (("join", "FULL/identity.key", *FORCED), "not a hop's public part"),
        (("join", "NOWHERE", *FORCED), "No such file"),
        (("show", "NOWHERE"), "No such file"),
        (("show", "PART0"), "damaged"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_what_cannot_be_done_is_said_in_a_sentence_and_leaves_nothing(
    arguments: tuple[str, ...], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = three_hops(tmp_path)
    new = tmp_path / "new"
    names = {"NEW": new, "FULL": parts[0].parent, "PART0": parts[0], "PART1": parts[1]}
    words = [str(names.get(word.split("/")[0], tmp_path / "nowhere") / "/".join(word.split("/")[1:]))
             if word.split("/")[0] in {*names, "NOWHERE"} else word for word in arguments]  # fmt: skip
    output = ["--output", str(tmp_path / CHAIN_FILE)] if arguments[0] == "join" else []
    capsys.readouterr()
    assert main([*words, *output]) == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / CHAIN_FILE).exists()
    assert not (new / IDENTITY_FILE).exists()


def test_a_chain_file_is_never_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parts = three_hops(tmp_path)
    arguments = ["join", *map(str, parts), "--output", str(tmp_path / CHAIN_FILE), *FORCED]
    assert main(arguments) == 0
    before = (tmp_path / CHAIN_FILE).read_bytes()
    assert main(arguments) == 2
    assert "is there already" in capsys.readouterr().err
    assert (tmp_path / CHAIN_FILE).read_bytes() == before


def test_parts_are_plain_toml_that_anybody_can_read(tmp_path: Path) -> None:
    table = tomllib.loads(three_hops(tmp_path)[1].read_text())
    assert set(table) == {"name", "address", "identity"}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('identity = "', 'identity = " '),
        ('entry_certificate = "', 'entry_certificate = "00'),
        ('name = "school-0"', "name = 0"),
        ('name = "school-0"', 'name = "\\u001b[2J"'),
    ],
)
def test_a_part_whose_values_are_not_written_as_they_must_be_is_refused(
    old: str, new: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = three_hops(tmp_path)
    whole = parts[0].read_text()
    assert old in whole
    parts[0].write_text(whole.replace(old, new))
    arguments = ["join", *map(str, parts), "--output", str(tmp_path / CHAIN_FILE), *FORCED]
    assert main(arguments) == 2
    assert "not a hop's public part" in capsys.readouterr().err
    parts[0].write_text(whole)
    assert main(arguments) == 0


# -- the client takes the file too --------------------------------------------------------------------------


def test_a_client_with_the_chain_file_needs_no_fingerprint_in_the_link(tmp_path: Path) -> None:
    main(["init", str(tmp_path / "chain"), *FORCED])
    file = tmp_path / "chain" / CHAIN_FILE
    assert _pinned_link("192.0.2.1:7", file).fingerprint == read(tmp_path / "chain").chain_id
    assert _pinned_link(f"192.0.2.1#{read(tmp_path / 'chain').fingerprint}", file).host == "192.0.2.1"


def test_a_client_refuses_a_link_that_names_another_chain_than_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["init", str(tmp_path / "chain"), *FORCED])
    file = str(tmp_path / "chain" / CHAIN_FILE)
    cases = {
        ("192.0.2.1#" + 64 * "0", "--chain-file", file): "do not go together",
        ("192.0.2.1", "--chain-file", str(tmp_path / "none")): "cannot be read",
        ("192.0.2.1", "--chain-file", str(tmp_path / "chain" / "hop0" / IDENTITY_FILE)): "do not go together",
        ("--chain-file", file): "goes with a join link",
    }
    for arguments, sentence in cases.items():
        assert client_main.main([*arguments, "--terminal"]) == 2
        assert sentence in capsys.readouterr().err

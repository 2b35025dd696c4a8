"""What counts as a link in a text, and where it goes."""

from __future__ import annotations

import pytest

from iirs.client.text.links import host_of, links_in, whole_link


@pytest.mark.parametrize(
    ("text", "links"),
    [
        (
            "see https://example.org/a, or http://example.com.",
            ["https://example.org/a", "http://example.com"],
        ),
        ("javascript:alert(1) file:///etc/passwd www.example.org", []),
        ("https://", []),
        ("HTTPS://EXAMPLE.org", ["HTTPS://EXAMPLE.org"]),
        (" ".join(f"https://{n}.example" for n in range(9)), [f"https://{n}.example" for n in range(3)]),
        ("https://[::1", []),
        ("https://[::1]:80/a", ["https://[::1]:80/a"]),
        ("https://a.example:99999/ https://a.example:x/", []),
        ("https://evil.example\\@good.example/", ["https://evil.example"]),
        ("https://ex%61mple.org/", []),
    ],
)
def test_only_web_addresses_are_links(text: str, links: list[str]) -> None:
    assert links_in(text) == links


def test_a_host_in_other_letters_is_shown_in_punycode() -> None:
    assert host_of("https://\u0430pple.com/x") == "xn--pple-43d.com"
    assert whole_link("https://\u0430pple.com:8/x") == "https://xn--pple-43d.com:8/x"


@pytest.mark.parametrize("link", ["http://[::1]:80/a", "http://a.example:0/", "http://a@b.example/?q#f"])
def test_a_link_in_plain_letters_is_opened_as_it_was_written(link: str) -> None:
    assert whole_link(link) == link

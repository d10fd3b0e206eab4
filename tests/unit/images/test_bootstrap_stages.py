"""What is told while packages become an image."""

from __future__ import annotations

from wharfie.images import bootstrap


def test_debootstrap_s_lines_become_stages_with_the_package_at_hand() -> None:
    told: list[dict[str, object]] = []
    say = bootstrap._stages("bookworm", told.append)
    for line in (
        "I: Resolving dependencies of base packages...",
        "I: Retrieving apt 2.6.1",
        "I: Validating apt 2.6.1",
        "I: Extracting apt...",
        "I: Configuring libc6:amd64...",
        "W: something else",
        "",
    ):
        say(line)
    assert [(message["status"], message["progress"]) for message in told] == [
        ("Retrieving packages", "apt 2.6.1"),
        ("Retrieving packages", "apt 2.6.1"),
        ("Extracting packages", "apt"),
        ("Installing packages", "libc6:amd64"),
    ]
    assert {message["id"] for message in told} == {"bookworm"}

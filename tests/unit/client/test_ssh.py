"""The command line of a connection over ssh."""

from __future__ import annotations

from wharfie.client import ssh

BEGIN = ["ssh", "-o", "ConnectTimeout=30", "-T"]


def test_user_port_and_socket_have_their_places() -> None:
    found = ssh.command("ssh://me@far:22/run/w.sock")
    assert found == [*BEGIN, "-l", "me", "-p", "22", "--", "far", "wharfie", "-H", "unix:///run/w.sock",
                     "system", "dial-stdio"]  # fmt: skip


def test_the_name_of_a_socket_is_no_command_of_the_shell_there() -> None:
    found = ssh.command("ssh://far/run/w;touch$IFS'x'")
    assert found[found.index("-H") + 1] == "'unix:///run/w;touch$IFS'\"'\"'x'\"'\"''"

"""hosts and resolv.conf by Docker's rules."""

from __future__ import annotations

import pytest

from wharfie.errors import InvalidArgument
from wharfie.network.files import Resolver, hosts, parse_extra_hosts, resolv_conf


def _lines(content: bytes) -> list[str]:
    return [line for line in content.decode().splitlines() if line and not line.startswith("#")]


def test_a_resolv_conf_is_read_as_the_resolver_reads_it() -> None:
    text = (
        "# remark\n; another\nnameserver 10.0.0.1\nnameserver\t10.0.0.2 \ndomain old.example\n"
        "search a.example b.example\noptions ndots:2 rotate\noptions edns0\nnonsense\nnameserver\n"
    )
    found = Resolver.parse(text)
    assert found == Resolver(
        ("10.0.0.1", "10.0.0.2"), ("a.example", "b.example"), ("ndots:2", "rotate", "edns0")
    )


@pytest.mark.parametrize(
    "server", ["127.0.0.53", "127.1.2.3", "::1", "fe80::1%eth0", "fd00::1", "0.0.0.0", "nonsense"]
)
def test_servers_that_a_container_cannot_reach_are_left_out(server: str) -> None:
    content = resolv_conf(Resolver((server, "10.0.0.1"), ("example.com",)), Resolver())
    assert _lines(content) == ["nameserver 10.0.0.1", "search example.com"]


def test_public_servers_stand_in_when_none_is_left() -> None:
    content = resolv_conf(Resolver(("127.0.0.1",)), Resolver())
    assert _lines(content) == ["nameserver 8.8.8.8", "nameserver 8.8.4.4"]


def test_what_was_asked_for_replaces_its_part_whole() -> None:
    host = Resolver(("10.0.0.1",), ("host.example",), ("rotate",))
    wishes = Resolver(("127.0.0.9", "1.1.1.1"), ("own.example",), ("ndots:0",))
    assert _lines(resolv_conf(host, wishes)) == [
        "nameserver 127.0.0.9",
        "nameserver 1.1.1.1",
        "search own.example",
        "options ndots:0",
    ]
    assert _lines(resolv_conf(host, Resolver(search=("own.example",)))) == [
        "nameserver 10.0.0.1",
        "search own.example",
        "options rotate",
    ]


def test_a_search_of_a_dot_means_none() -> None:
    content = resolv_conf(Resolver(("10.0.0.1",), ("host.example",)), Resolver(search=(".",)))
    assert _lines(content) == ["nameserver 10.0.0.1"]


def test_the_hosts_network_keeps_the_hosts_servers() -> None:
    content = resolv_conf(Resolver(("127.0.0.53", "fd00::1")), Resolver(), host_network=True)
    assert _lines(content) == ["nameserver 127.0.0.53", "nameserver fd00::1"]


def test_hosts_has_the_usual_lines_then_extras_then_the_container() -> None:
    content = hosts(
        hostname="web", domainname="", addresses=["172.17.0.2"], extra=[("10.0.0.9", "db")], base=None
    ).decode()
    assert content.splitlines() == [
        "127.0.0.1\tlocalhost",
        "::1\tlocalhost ip6-localhost ip6-loopback",
        "fe00::\tip6-localnet",
        "ff00::\tip6-mcastprefix",
        "ff02::1\tip6-allnodes",
        "ff02::2\tip6-allrouters",
        "10.0.0.9\tdb",
        "172.17.0.2\tweb",
    ]


@pytest.mark.parametrize(
    ("hostname", "domainname", "names"),
    [
        ("web", "example.com", "web.example.com web"),
        ("web.example.com", "", "web.example.com web"),
        ("web", "", "web"),
    ],
)
def test_a_full_name_comes_with_its_short_one(hostname: str, domainname: str, names: str) -> None:
    content = hosts(hostname=hostname, domainname=domainname, addresses=["10.0.0.2"], extra=[], base=None)
    assert content.decode().splitlines()[-1] == f"10.0.0.2\t{names}"


def test_in_the_hosts_network_the_hosts_file_is_the_base() -> None:
    base = b"10.1.1.1 host\xff"
    content = hosts(hostname="x", domainname="", addresses=[], extra=[("1.2.3.4", "y")], base=base)
    assert content == b"10.1.1.1 host\xff\n1.2.3.4\ty\n"


def test_extra_hosts_are_name_and_address() -> None:
    entries = ["db:10.0.0.9", "six:fd00::9", "brackets:[fd00::8]", "gate:host-gateway"]
    assert parse_extra_hosts(entries, "172.17.0.1") == [
        ("10.0.0.9", "db"),
        ("fd00::9", "six"),
        ("fd00::8", "brackets"),
        ("172.17.0.1", "gate"),
    ]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("nothing", 'bad format for add-host: "nothing"'),
        (":1.2.3.4", "bad format for add-host"),
        ("name:", "bad format for add-host"),
        ("two words:1.2.3.4", "bad format for add-host"),
        ("new\nline:1.2.3.4", "bad format for add-host"),
        ("name:1.2.3", 'invalid IP address in add-host: "1.2.3"'),
        ("name:1.2.3.4\n6.6.6.6 bank", "invalid IP address in add-host"),
        ("name:host-gateway", "unable to derive the IP value for host-gateway"),
    ],
)
def test_extra_hosts_that_cannot_be_are_refused(entry: str, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        parse_extra_hosts([entry], "")

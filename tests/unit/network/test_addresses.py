"""Subnets and addresses, decided without I/O."""

from __future__ import annotations

from ipaddress import IPv4Interface, IPv4Network

import pytest

from wharfie.errors import InvalidArgument
from wharfie.network.addresses import REST_SECONDS, Pool, choose_subnet, mac_of, parse_bip
from wharfie.network.model import AddressTaken, AddressUnavailable, Subnet


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def _pool(cidr: str = "172.17.0.1/16") -> tuple[Pool, Clock]:
    clock = Clock()
    own = IPv4Interface(cidr)
    return Pool(Subnet(str(own.network), str(own.ip)), clock), clock


def test_the_first_pool_that_nobody_uses_is_chosen() -> None:
    assert choose_subnet([]) == IPv4Network("172.17.0.0/16")
    taken = [IPv4Network("172.17.3.0/24"), IPv4Network("172.18.0.0/15"), IPv4Network("0.0.0.0/0")]
    assert choose_subnet(taken) == IPv4Network("172.20.0.0/16")
    assert choose_subnet([IPv4Network("172.16.0.0/12")]) == IPv4Network("192.168.0.0/20")


def test_no_free_pool_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(AddressUnavailable, match="--bip"):
        choose_subnet([IPv4Network("172.16.0.0/12"), IPv4Network("192.168.0.0/16")])


@pytest.mark.parametrize(
    "text", ["", "x", "10.0.0.1", "10.0.0.0/24", "10.0.0.255/24", "10.0.0.1/31", "10.0.0.1/33", "::1/64"]
)
def test_a_bip_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="invalid --bip"):
        parse_bip(text)


def test_a_bip_is_an_address_and_its_subnet() -> None:
    assert parse_bip("192.168.5.9/24") == IPv4Interface("192.168.5.9/24")


def test_the_mac_comes_from_the_address() -> None:
    assert mac_of("172.17.0.2") == "02:42:ac:11:00:02"


def test_addresses_are_given_from_the_lowest_and_skip_the_bridge() -> None:
    pool, _ = _pool("10.0.0.2/29")
    assert [pool.take(name) for name in "abc"] == ["10.0.0.1", "10.0.0.3", "10.0.0.4"]


def test_a_released_address_rests_before_another_container_gets_it() -> None:
    pool, clock = _pool()
    first = pool.take("a")
    pool.release(first, "a")
    assert pool.take("b") != first
    clock.now += REST_SECONDS + 1
    assert pool.take("c") == first


def test_a_container_that_comes_back_gets_its_address_again() -> None:
    pool, _ = _pool()
    first = pool.take("a")
    pool.take("b")
    pool.release(first, "a")
    assert pool.take("a") == first
    assert pool.take("c") != first


def test_a_full_network_gives_resting_addresses_before_it_gives_up() -> None:
    pool, _ = _pool("10.0.0.1/29")
    taken = [pool.take(str(number)) for number in range(5)]
    with pytest.raises(AddressUnavailable, match="no available IPv4 addresses"):
        pool.take("one too many")
    pool.release(taken[3], "3")
    assert pool.take("lucky") == taken[3]


def test_reset_believes_what_it_is_told() -> None:
    pool, _ = _pool()
    assert pool.take("a") == "172.17.0.2"
    pool.reset(["172.17.0.3"])
    assert [pool.take("b"), pool.take("c")] == ["172.17.0.2", "172.17.0.4"]


def test_an_asked_for_address_must_be_free_and_inside() -> None:
    pool, _ = _pool()
    pool.claim("172.17.9.9")
    for taken in ("172.17.9.9", "172.17.0.1", "172.17.0.0", "172.17.255.255"):
        with pytest.raises(AddressTaken, match="Address already in use"):
            pool.claim(taken)
    with pytest.raises(AddressUnavailable, match="no configured subnet"):
        pool.claim("172.18.0.1")

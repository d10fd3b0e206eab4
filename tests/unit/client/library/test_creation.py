"""Keyword arguments as the API's document."""

from __future__ import annotations

from typing import Any

import pytest

from wharfie.client.library.creation import document
from wharfie.errors import InvalidArgument
from wharfie.wire.config import Mount

HOST: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"memory": "1.5g"}, {"Memory": 1610612736}),
    ({"cpus": 0.5, "shm_size": 4096}, {"NanoCpus": 500_000_000, "ShmSize": 4096}),
    ({"volumes": ("/a:/b:ro",), "read_only": True}, {"Binds": ["/a:/b:ro"], "ReadonlyRootfs": True}),
    ({"mounts": [Mount(type="volume", source="v", target="/v")]},
     {"Mounts": [{"Type": "volume", "Source": "v", "Target": "/v"}]}),
    ({"restart": "on-failure:3"}, {"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3}}),
    ({"ulimits": {"nofile": (10, 20), "core": 0}},
     {"Ulimits": [{"Name": "nofile", "Soft": 10, "Hard": 20}, {"Name": "core", "Soft": 0, "Hard": 0}]}),
    ({"devices": ["/dev/fuse", "/dev/a:/dev/b:r"]},
     {"Devices": [{"PathOnHost": "/dev/fuse", "PathInContainer": "/dev/fuse", "CgroupPermissions": "rwm"},
                  {"PathOnHost": "/dev/a", "PathInContainer": "/dev/b", "CgroupPermissions": "r"}]}),
    ({"ports": {80: 8080, "53/udp": ["127.0.0.1:53", ("::1", 53)], 443: None}},
     {"PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}],
                       "53/udp": [{"HostIp": "127.0.0.1", "HostPort": "53"},
                                  {"HostIp": "::1", "HostPort": "53"}],
                       "443/tcp": [{"HostIp": "", "HostPort": ""}]}}),
    ({"log_driver": "local", "log_options": {"max-size": "1m"}},
     {"LogConfig": {"Type": "local", "Config": {"max-size": "1m"}}}),
    ({"extra_hosts": {"a": "1.2.3.4"}, "host_config": {"OomScoreAdj": 5}},
     {"ExtraHosts": ["a:1.2.3.4"], "OomScoreAdj": 5}),
]  # fmt: skip


@pytest.mark.parametrize(("options", "host"), HOST, ids=lambda one: ",".join(one))
def test_what_concerns_the_host(options: Any, host: dict[str, Any]) -> None:
    assert document("i", None, options)["HostConfig"] == host


def test_what_runs() -> None:
    body = document(
        "i",
        "sh -c 'echo \"a b\"'",
        {
            "environment": {"A": "b"},
            "entrypoint": "/init -q",
            "user": "1",
            "health": {"test": "true", "interval": 1.5, "timeout": "2s", "retries": 2},
            "config": {"Domainname": "d"},
        },
    )
    assert body == {
        "Image": "i", "Cmd": ["sh", "-c", 'echo "a b"'], "Env": ["A=b"], "Entrypoint": ["/init", "-q"],
        "User": "1",
        "Healthcheck": {"Test": ["CMD-SHELL", "true"], "Interval": 1_500_000_000, "Timeout": 2_000_000_000,
                        "Retries": 2},
        "Domainname": "d", "HostConfig": {},
    }  # fmt: skip


def test_a_place_on_a_network() -> None:
    body = document("i", None, {"network": "n", "aliases": ["a"], "ip": "10.0.0.2"})
    endpoint = {"Aliases": ["a"], "IPAMConfig": {"IPv4Address": "10.0.0.2"}}
    assert body["NetworkingConfig"] == {"EndpointsConfig": {"n": endpoint}}


@pytest.mark.parametrize(
    ("options", "message"),
    [({"memroy": 1}, "no option 'memroy'"), ({"memory": "much"}, "invalid size: 'much'"),
     ({"ip": "10.0.0.2"}, "name that"), ({"restart": "always:x"}, "invalid literal")],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(options: Any, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        document("i", None, options)

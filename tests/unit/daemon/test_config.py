"""The daemon's configuration: flags, file, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from wharfie.daemon import main as entry
from wharfie.daemon import options
from wharfie.daemon.config import load
from wharfie.errors import InvalidArgument


def test_flags_in_all_their_spellings(tmp_path: Path) -> None:
    config = load(
        ["-H", "unix:///a.sock", "--host=tcp://:2375", "-Htcp://[::1]:2376", "--data-root", str(tmp_path),
         "--exec-root=/run/x", "-p", "/run/x.pid", "-b", "br0", "--bip", "10.0.0.1/24", "-D",
         "--iptables=false", "--ip-masq", "--log-opt", "max-size=1m", "--log-opt=max-file=2",
         "--default-ulimit", "nofile=10:20", "--default-shm-size", "1g", "--mtu", "1400"]
    )  # fmt: skip
    assert config.hosts == ("unix:///a.sock", "tcp://0.0.0.0:2375", "tcp://[::1]:2376")
    assert (config.data_root, config.exec_root, config.pid_path) == (str(tmp_path), "/run/x", "/run/x.pid")
    assert (config.bridge, config.bip, config.mtu) == ("br0", "10.0.0.1/24", 1400)
    assert (config.debug, config.log_level, config.iptables, config.ip_masq) == (True, 10, False, True)
    assert config.log_opts == {"max-size": "1m", "max-file": "2"}
    assert (config.ulimits["nofile"].soft, config.ulimits["nofile"].hard) == (10, 20)
    assert config.shm_size == 1 << 30


def test_the_defaults_are_below_the_roots() -> None:
    config = load(["--exec-root", "/run/other"])
    assert config.sockets == ("unix:///run/other/wharfie.sock",)
    assert config.pid_path == "/run/other/wharfie.pid"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--nope"], "unknown flag: --nope"),
        (["--data-root"], "flag needs an argument: --data-root"),
        (["extra"], "accepts no arguments"),
        (["--debug=maybe"], "yes or no"),
        (["--mtu", "x"], "no number"),
        (["--log-level", "loud"], "invalid logging level: loud"),
        (["-H", "http://x"], "invalid socket"),
        (["-H", "unix://relative"], "absolute"),
        (["-H", "tcp://1.2.3.4"], "tcp://address:port"),
        (["--storage-driver", "zfs"], "storage driver zfs is not supported"),
        (["--exec-opt", "native.cgroupdriver=systemd"], "cgroupdriver"),
        (["--add-runtime", "x=/y"], "additional runtimes"),
        (["--fixed-cidr", "10.0.0.0/31"], "invalid --fixed-cidr 10.0.0.0/31: it must be a subnet"),
        (["--fixed-cidr", "10.0.0.1/24"], "invalid --fixed-cidr"),
        (["--fixed-cidr-v6", "10.0.0.0/24"], "invalid --fixed-cidr-v6"),
        (["--default-gateway", "fd00::1"], "invalid --default-gateway fd00::1: it is no address"),
        (["--default-gateway-v6", "x"], "invalid --default-gateway-v6 x"),
        (["--config-file", "/nowhere/daemon.json"], "there is no such file"),
    ],
)
def test_what_is_refused(words: list[str], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        load(words)


def written(tmp_path: Path, document: object) -> list[str]:
    path = tmp_path / "daemon.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return ["--config-file", str(path)]


def test_docker_s_file_is_taken(tmp_path: Path) -> None:
    words = written(
        tmp_path,
        {
            "hosts": ["unix:///a.sock"],
            "dns": ["1.1.1.1"],
            "log-opts": {"max-size": "1m"},
            "live-restore": True,
            "default-ulimits": {"nofile": {"Name": "nofile", "Hard": 5, "Soft": 4}},
            "userland-proxy": False,
        },
    )
    config = load(words)
    assert config.hosts == ("unix:///a.sock",)
    assert (config.dns, config.log_opts) == (("1.1.1.1",), {"max-size": "1m"})
    assert config.ulimits["nofile"].hard == 5
    assert config.ignored == ("userland-proxy",)


@pytest.mark.parametrize(
    ("document", "flags", "message"),
    [
        ("{", [], "unable to configure the daemon with file"),
        ([1], [], "one JSON object"),
        ({"nope": 1}, [], "don't match any configuration option: nope"),
        ({"debug": "yes"}, [], "the value of debug has the wrong type"),
        ({"bridge": "a"}, ["--bridge", "b"], "both as a flag and in the configuration file: bridge"),
    ],
)
def test_a_file_that_cannot_be(tmp_path: Path, document: object, flags: list[str], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        load([*flags, *written(tmp_path, document)])


def test_validate_and_help_do_not_start_anything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.main(["--validate", *written(tmp_path, {"debug": True})]) == 0
    assert capsys.readouterr().out == "configuration OK\n"
    assert entry.main(["--validate", *written(tmp_path, {"x": True})]) == 1
    assert "x" in capsys.readouterr().err
    assert entry.main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(f"--{option.flag}" in text for option in options.OPTIONS)


def test_the_file_describes_the_default_bridge(tmp_path: Path) -> None:
    wanted = {"bip": "10.9.0.1/24", "fixed-cidr": "10.9.0.128/25", "default-gateway": "10.9.0.200",
              "ipv6": True, "fixed-cidr-v6": "fd09::/64", "default-gateway-v6": "fd09::99"}  # fmt: skip
    path = tmp_path / "daemon.json"
    path.write_text(json.dumps(wanted))
    config = load(["--config-file", str(path)])
    assert config.ignored == ()
    assert (config.bip, config.fixed_cidr, config.subnet6) == ("10.9.0.1/24", "10.9.0.128/25", "fd09::/64")
    assert (config.default_gateway, config.default_gateway6) == ("10.9.0.200", "fd09::99")

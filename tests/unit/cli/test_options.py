"""Options: what is taken, and what a wrong one is told."""

from __future__ import annotations

from typing import Any

import pytest

from wharfie.cli import main
from wharfie.cli.create_body import build
from wharfie.cli.errors import CommandError, FlagError, UsageError
from wharfie.cli.lifecycle import REMOVE
from wharfie.cli.ps import PS
from wharfie.cli.references import validate
from wharfie.cli.run import _prepare
from wharfie.cli.run_options import RUN
from wharfie.client.references import split
from wharfie.errors import WharfieError


def run(*words: str) -> dict[str, Any]:
    options, rest = RUN.parse(list(words))
    return build(options, rest)


@pytest.mark.parametrize(
    ("words", "options", "rest"),
    [
        (("-it", "b", "-x"), {"interactive": True, "tty": True}, ["b", "-x"]),
        (("--name=a", "b"), {"name": "a"}, ["b"]),
        (("--name", "a", "b", "--rm"), {"name": "a"}, ["b", "--rm"]),
        (
            ("-cpu-period", "100000", "-cpu-quota=20000", "b"),
            {"cpu-period": 100000, "cpu-quota": 20000},
            ["b"],
        ),
        (("-ip", "80:80", "b"), {"interactive": True, "publish": ["80:80"]}, ["b"]),
        (("--tty=false", "b"), {"tty": False}, ["b"]),
        (("-t=true", "b"), {"tty": True}, ["b"]),
        (("-m10m", "b"), {"memory": 10 << 20}, ["b"]),
        (("-m", "1g", "--memory-swap", "-1", "b"), {"memory": 1 << 30, "memory-swap": -1}, ["b"]),
        (("--cpus", "1.5", "b"), {"cpus": 1_500_000_000}, ["b"]),
        (("--", "-b"), {}, ["-b"]),
        (("-rm", "b"), {"rm": True}, ["b"]),
        (("-h", "box", "b"), {"hostname": "box"}, ["b"]),
    ],
)  # fmt: skip
def test_run_takes(words: tuple[str, ...], options: dict[str, Any], rest: list[str]) -> None:
    assert RUN.parse(list(words)) == (options, rest)


def test_other_commands_mix_options_and_arguments() -> None:
    assert REMOVE.parse(["a", "-f", "b", "-v"]) == ({"force": True, "volumes": True}, ["a", "b"])
    assert PS.parse(["-aq"]) == ({"all": True, "quiet": True}, [])


def test_the_body_holds_what_was_given() -> None:
    body = run(
        "-v", "/a:/b:ro", "-v", "/anon", "--tmpfs", "/t:size=1m", "-p", "8080:80", "--expose", "90",
        "--ulimit", "nofile=1:2", "--restart", "on-failure:3", "--device", "/dev/null:/dev/x:r",
        "--mount", "type=bind,src=/s,dst=/d,readonly", "--security-opt", "no-new-privileges",
        "--network", "none", "--log-opt", "max-size=1m", "-l", "a=b", "--entrypoint", "", "--init", "img", "x",  # noqa: E501
    )  # fmt: skip
    host = body["HostConfig"]
    assert host["Binds"] == ["/a:/b:ro"]
    assert body["Volumes"] == {"/anon": {}}
    assert host["Tmpfs"] == {"/t": "size=1m"}
    assert body["ExposedPorts"] == {"80/tcp": {}, "90/tcp": {}}
    assert host["PortBindings"] == {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]}
    assert host["Ulimits"] == [{"Name": "nofile", "Soft": 1, "Hard": 2}]
    assert host["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 3}
    assert host["Devices"] == [
        {"PathOnHost": "/dev/null", "PathInContainer": "/dev/x", "CgroupPermissions": "r"}
    ]
    assert host["Mounts"] == [{"Type": "bind", "Source": "/s", "Target": "/d", "ReadOnly": True}]
    assert (host["NetworkMode"], host["Init"]) == ("none", True)
    assert host["LogConfig"] == {"Type": "", "Config": {"max-size": "1m"}}
    assert (body["Labels"], body["Entrypoint"], body["Cmd"]) == ({"a": "b"}, [""], ["x"])


WRONG = [
    ("--foo", "unknown flag: --foo"),
    ("-Z", "unknown shorthand flag: 'Z' in -Z"),
    ("--name", "flag needs an argument: --name"),
    ("-m x b", 'invalid argument "x" for "-m, --memory" flag: invalid size: \'x\''),
    ("--cpus x b", 'invalid argument "x" for "--cpus" flag: failed to parse x as a rational number'),
    ("--cpu-quota x b",
     'invalid argument "x" for "--cpu-quota" flag: strconv.ParseInt: parsing "x": invalid syntax'),
    ("--tty=foo b",
     'invalid argument "foo" for "-t, --tty" flag: strconv.ParseBool: parsing "foo": invalid syntax'),
    ("--blkio-weight 70000 b",
     'invalid argument "70000" for "--blkio-weight" flag: strconv.ParseUint: parsing "70000": value out of range'),  # noqa: E501
    ("--ulimit foo b", 'invalid argument "foo" for "--ulimit" flag: invalid ulimit argument: foo'),
    ("--ulimit nofile=3:2 b", 'invalid argument "nofile=3:2" for "--ulimit" flag: '
     "ulimit soft limit must be less than or equal to hard limit: 3 > 2"),
    ("--sysctl foo b", 'invalid argument "foo" for "--sysctl" flag: sysctl \'foo\' is not allowed'),
    ("--device-read-bps foo b", 'invalid argument "foo" for "--device-read-bps" flag: bad format: foo'),
    ("--device-read-bps foo:1mb b",
     'invalid argument "foo:1mb" for "--device-read-bps" flag: bad format for device path: foo:1mb'),
    ("--blkio-weight-device /dev/a:5 b",
     'invalid argument "/dev/a:5" for "--blkio-weight-device" flag: invalid weight for device: /dev/a:5'),
    ("--mount foo b",
     'invalid argument "foo" for "--mount" flag: invalid field \'foo\' must be a key=value pair'),
    ("--mount type=bind b", 'invalid argument "type=bind" for "--mount" flag: target is required'),
    ("--add-host foo b", 'invalid argument "foo" for "--add-host" flag: bad format for add-host: "foo"'),
    ("--dns foo b", 'invalid argument "foo" for "--dns" flag: IP address is not correctly formatted: foo'),
    ("-a foo b",
     'invalid argument "foo" for "-a, --attach" flag: valid streams are STDIN, STDOUT and STDERR'),
    ("-e =x b", 'invalid argument "=x" for "-e, --env" flag: invalid environment variable: =x'),
    ("--device-cgroup-rule foo b",
     'invalid argument "foo" for "--device-cgroup-rule" flag: invalid device cgroup format \'foo\''),
    ("--gpus foo b", 'invalid argument "foo" for "--gpus" flag: '
     'invalid count (foo): value must be either "all" or an integer: invalid syntax'),
    ("--health-interval x b",
     'invalid argument "x" for "--health-interval" flag: time: invalid duration "x"'),
    ("--rm --restart always b", "conflicting options: cannot specify both --restart and --rm"),
    ("--restart on-failure:x b", "invalid restart policy format: maximum retry count must be an integer"),
    ("--env-file /nope b", "open /nope: no such file or directory"),
    ("--label-file /nope b", "open /nope: no such file or directory"),
    ("-v ab:b:c:d b", "invalid spec: ab:b:c:d: too many colons"),
    ("--pid foo b", "--pid: invalid PID mode"),
    ("--uts foo b", "--uts: invalid UTS mode"),
    ("--userns foo b", "--userns: invalid USER mode"),
    ("--cgroupns foo b", "--cgroupns: invalid CGROUP mode"),
    ("--pull foo b", "invalid pull option: 'foo': must be one of \"always\", \"missing\" or \"never\""),
    ("--platform a/b/c/d b",
     'error parsing specified platform: "a/b/c/d": cannot parse platform specifier: invalid argument'),
    ("-p foo b", "invalid containerPort: foo"),
    ("-p 80:x b", "invalid containerPort: x"),
    ("--expose foo b",
     'invalid range format for --expose: foo, error: strconv.ParseUint: parsing "foo": invalid syntax'),
    ("--log-driver none --log-opt a=b b", "invalid logging opts for driver none"),
    ("--memory-swappiness 200 b", "invalid value: 200. Valid memory swappiness range is 0-100"),
    ("--security-opt foo b", 'Invalid --security-opt: "foo"'),
    ("--security-opt seccomp=/nope b",
     "opening seccomp profile (/nope) failed: open /nope: no such file or directory"),
    ("--health-interval=-1s b", "--health-interval cannot be negative"),
    ("--no-healthcheck --health-cmd x b", "--no-healthcheck conflicts with --health-* options"),
    ("--mac-address foo b", "foo is not a valid mac address"),
    ("--network= b", "no name set for network"),
    ("--storage-opt a b", "invalid storage option"),
    ("--device /dev/null:/dev/x:q b", "bad mode specified: q"),
    ("UPPER", "invalid reference format: repository name (library/UPPER) must be lowercase"),
    ("b:::", "invalid reference format"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "sentence"), WRONG, ids=[line for line, _ in WRONG])
def test_a_wrong_option_gets_docker_s_sentence(line: str, sentence: str) -> None:
    with pytest.raises(WharfieError) as caught:
        _prepare("run", *RUN.parse(line.split()))
    error = caught.value
    assert (error.sentence if isinstance(error, FlagError) else str(error)) == sentence
    assert "\n" not in sentence
    if isinstance(error, FlagError):
        assert error.code == 125


def test_a_missing_argument_shows_the_usage() -> None:
    with pytest.raises(CommandError) as caught:
        RUN.parse(["-P"])
    assert str(caught.value).splitlines()[0] == "wharfie: 'wharfie run' requires at least 1 argument"
    assert caught.value.code == 1


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a", ("a", "", "")),
        ("h:5000/a/b:1", ("h:5000/a/b", "1", "")),
        ("h:5000/a", ("h:5000/a", "", "")),
        ("a@sha256:ff", ("a", "", "sha256:ff")),
    ],
)
def test_references(text: str, parts: tuple[str, str, str]) -> None:
    validate(text)
    assert split(text) == parts


@pytest.mark.parametrize(
    ("line", "called"),
    [("ps -n x", "ps"), ("container ls -n x", "container ls"), ("image rm", "image rm"), ("rmi", "rmi")],
)
def test_a_command_is_called_what_it_was_typed_as(line: str, called: str) -> None:
    with pytest.raises(UsageError) as caught:
        main.run(["-H", "unix:///nowhere", *line.split()])
    assert f"\n\nUsage:  wharfie {called} [OPTIONS]" in caught.value.message
    assert f"'wharfie {called} --help' for more information" in caught.value.message

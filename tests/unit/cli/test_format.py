"""Templates and tables."""

from __future__ import annotations

from typing import Any

import pytest

from wharfie.cli.errors import CommandError
from wharfie.cli.format.syntax import TemplateError
from wharfie.cli.format.template import ExecutionError, Struct, Template
from wharfie.cli.listing import rendered
from wharfie.cli.ps import ports
from wharfie.cli.table import ellipsis, quoted, table

DATA: dict[str, Any] = {
    "Name": "/x",
    "State": {"Running": True, "Pid": 7, "Error": None},
    "Args": ["a", "b"],
    "Labels": {"k": "v", "a": "b"},
    "Empty": [],
}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("{{.Name}}", "/x"),
        ("{{ .State.Pid }},{{.State.Running}}", "7,true"),
        ("{{json .Args}}", '["a","b"]'),
        ("{{.Args}} {{.Labels}}", "[a b] map[a:b k:v]"),
        ("{{range .Args}}<{{.}}>{{end}}", "<a><b>"),
        ("{{range $i, $e := .Args}}{{$i}}={{$e}};{{end}}", "0=a;1=b;"),
        ("{{range $k, $v := .Labels}}{{$k}}{{$v}} {{end}}", "ab kv "),
        ("{{range .Empty}}x{{else}}none{{end}}", "none"),
        ("{{if .State.Running}}yes{{else}}no{{end}}", "yes"),
        ("{{if not .State.Running}}a{{else if eq .State.Pid 7}}b{{else}}c{{end}}", "b"),
        ("{{with .State}}{{.Pid}}{{end}}", "7"),
        ('{{join .Args ","}} {{upper .Name}} {{len .Args}}', "a,b /X 2"),
        ('{{index .Labels "k"}} {{index .Args 1}}', "v b"),
        ('{{(index .Args 0) | printf "%s-%d" | len}}', "14"),
        ('{{printf "%q %05d" .Name .State.Pid}}', '"/x" 00007'),
        ("a {{- .State.Pid -}} b", "a7b"),
        ("{{/* a remark */}}x", "x"),
        ('{{$x := .State}}{{$x.Pid}}{{"\\t"}}', "7\t"),
        ("{{and .Args .State.Pid}} {{or .Empty .Name}}", "7 /x"),
        ('{{truncate .Name 1}}{{split "a b" " "}}', "/[a b]"),
        ("{{.State.Error}}", "<no value>"),
        ("{{gt .State.Pid 3}}{{println 1 2}}", "true1 2\n"),
        ('{{range .Args}}{{.}}{{"\\n"}}{{end}}', "a\nb\n"),
        ("{{.State.Pid}}\\n\\t", "7\\n\\t"),
    ],
)
def test_templates(text: str, shown: str) -> None:
    assert Template(text).render(DATA) == shown


def test_a_field_left_out_is_named_but_not_walked_over() -> None:
    data = {"State": Struct({"Pid": 7}, {"Health": None, "Note": ""})}
    form = "{{.State.Health}}|{{.State.Note}}|{{json .State}}|{{range $k, $v := .State}}{{$k}}{{end}}"
    assert Template(form).render(data) == '<no value>||{"Pid":7}|Pid'


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{{.Name", "template parsing error: template: :1: unclosed action"),
        ("{{nosuch .Name}}", 'template parsing error: template: :1: function "nosuch" not defined'),
        ("{{if .Name}}", "template parsing error: template: :1: unexpected EOF"),
        ("{{end}}", "template parsing error: template: :1: unexpected {{end}}"),
        ('{{"x}}', "template parsing error: template: :1: unterminated quoted string"),
    ],
)
def test_templates_that_are_none(text: str, problem: str) -> None:
    with pytest.raises(TemplateError) as caught:
        Template(text)
    assert (str(caught.value), caught.value.code) == (problem, 64)


def test_a_field_that_is_not_there() -> None:
    with pytest.raises(ExecutionError, match='no entry for key "Nope"'):
        Template("{{.State.Nope}}").render(DATA)
    assert issubclass(ExecutionError, CommandError)


def test_tables_are_aligned_as_docker_s() -> None:
    rows = [["CONTAINER ID", "IMAGE", "NAMES"], ["c0ffee012345", "busybox", "x"]]
    assert table(rows) == "CONTAINER ID   IMAGE     NAMES\nc0ffee012345   busybox   x\n"
    assert ellipsis("sh -c 'echo out; echo'", 20) == "sh -c 'echo out; ec…"
    assert quoted('a"b\n\x01') == '"a\\"b\\n\\x01"'


def test_in_lists_tabs_and_line_ends_are_written_as_in_docker_s() -> None:
    assert rendered([{"Name": "x"}], [("Name", "NAME")], "a\\t{{.Name}}\\nb") == "a\tx\nb\n"
    with pytest.raises(CommandError, match="unterminated quoted string"):
        rendered([{"Name": "x"}], [("Name", "NAME")], '{{"\\n"}}')


def test_ports_that_are_the_same_outside_are_told_in_ranges() -> None:
    def port(inside: int, outside: int = 0, address: str = "", kind: str = "tcp") -> dict[str, Any]:
        found: dict[str, Any] = {"PrivatePort": inside, "Type": kind}
        return {**found, "PublicPort": outside, "IP": address} if address else found

    both = [port(number, number, address) for number in (80, 81, 82) for address in ("0.0.0.0", "::")]
    assert ports(both) == "0.0.0.0:80-82->80-82/tcp, [::]:80-82->80-82/tcp"
    mixed = [port(80, 8080, "::1"), port(81), port(82), port(84), port(53, 53, "127.0.0.1", "udp")]
    # as docker 28 shows them
    assert ports(mixed) == "81-82/tcp, 127.0.0.1:53->53/udp, 84/tcp, [::1]:8080->80/tcp"

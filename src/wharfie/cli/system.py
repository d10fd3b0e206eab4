"""``version`` and ``info``."""

from __future__ import annotations

import os
import sys
from typing import Any

from wharfie import __version__
from wharfie.cli.context import Context, warn
from wharfie.cli.options import Command
from wharfie.errors import WharfieError
from wharfie.support.units import format_binary_size

_FORM = ("format", "f", "string", "Print by a Go template, or 'json'")
VERSION = Command("version [OPTIONS]", "Show the versions of client and daemon", (_FORM,), most=0)
INFO = Command(
    "info [OPTIONS]",
    "Show the state of the daemon and its machine",
    (_FORM,),
    most=0,
    aliases="system info, info",
)
API_VERSION = "1.51"


def _print(value: Any, form: str) -> None:
    from wharfie.cli.format.template import Template, to_json

    sys.stdout.write((to_json(value) if form == "json" else Template(form).render(value)) + "\n")


def version(context: Context, arguments: list[str]) -> int:
    """``version``: 1 when no daemon answers."""
    options, _ = VERSION.parse(arguments)
    machine = os.uname()
    api_version = context.api.version or API_VERSION
    client = {
        "Version": __version__,
        "ApiVersion": api_version,
        "DefaultAPIVersion": API_VERSION,
        "PythonVersion": sys.version.split()[0],
        "Os": "linux",
        "Arch": _architecture(machine.machine),
        "Context": context.name,
    }
    problem, server = "", None
    try:
        server = context.api.get("/version")
    except WharfieError as error:
        problem = str(error)
    if options.get("format"):
        from wharfie.cli.format.template import Struct

        # templates of docker's users name the fields as its own structures do, JSON does not
        named = Struct(client, {"APIVersion": client["ApiVersion"], "GitCommit": "", "GoVersion": ""})
        known = None
        if server is not None:
            known = Struct({"Experimental": False, **server}, {"APIVersion": server.get("ApiVersion", "")})
        _print({"Client": named, "Server": known}, options["format"])
    else:
        downgraded = f" (downgraded from {API_VERSION})" if api_version != API_VERSION else ""
        rows = [
            ("Version", client["Version"]),
            ("API version", f"{api_version}{downgraded}"),
            ("Python version", client["PythonVersion"]),
            ("OS/Arch", f"{client['Os']}/{client['Arch']}"),
            ("Context", client["Context"]),
        ]
        lines = ["Client: wharfie", *_rows(rows)]
        if server is not None:
            name = (server.get("Platform") or {}).get("Name", "")
            lines += ["", f"Server: {name}".rstrip(), " Engine:", *_rows(_server_rows(server), "  ")]
        sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()
    if problem:
        warn(problem)
        return 1
    return 0


def _server_rows(server: dict[str, Any]) -> list[tuple[str, str]]:
    low = server.get("MinAPIVersion", "")
    return [
        ("Version", server.get("Version", "")),
        ("API version", f"{server.get('ApiVersion', '')} (minimum version {low})"),
        ("Git commit", server.get("GitCommit", "")),
        ("OS/Arch", f"{server.get('Os', '')}/{server.get('Arch', '')}"),
        ("Kernel version", server.get("KernelVersion", "")),
    ]


def _rows(rows: list[tuple[str, str]], indent: str = " ") -> list[str]:
    return [f"{indent}{name + ':':<18} {value}" for name, value in rows if value]


def _architecture(machine: str) -> str:
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)


def info(context: Context, arguments: list[str]) -> int:
    """``info``: 1 when no daemon answers."""
    options, _ = INFO.parse(arguments)
    client = {"Version": __version__, "Context": context.name, "Debug": context.debug, "Plugins": []}
    problem, server = "", {}
    try:
        server = context.api.get("/info")
    except WharfieError as error:
        problem = str(error)
    if options.get("format"):
        _print(
            {**server, "ServerErrors": [problem] if problem else None, "ClientInfo": client},
            options["format"],
        )
    else:
        lines = [
            "Client:",
            f" Version:    {__version__}",
            f" Debug Mode: {str(context.debug).lower()}",
            "",
            "Server:",
        ]
        lines += _info_lines(server) if server else []
        sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()
    for warning in server.get("Warnings") or []:
        warn(warning)
    if problem:
        warn(problem)
        return 1
    return 0


def _info_lines(server: dict[str, Any]) -> list[str]:
    def line(name: str, value: Any, indent: str = " ") -> None:
        if value not in (None, ""):
            text = str(value).lower() if isinstance(value, bool) else value
            lines.append(f"{indent}{name}: {text}")

    lines: list[str] = []
    line("Containers", server.get("Containers", 0))
    for state in ("Running", "Paused", "Stopped"):
        line(state, server.get(f"Containers{state}", 0), "  ")
    line("Images", server.get("Images", 0))
    line("Server Version", server.get("ServerVersion"))
    line("Storage Driver", server.get("Driver"))
    for name, value in server.get("DriverStatus") or []:
        line(name, value, "  ")
    line("Logging Driver", server.get("LoggingDriver"))
    line("Cgroup Driver", server.get("CgroupDriver"))
    line("Cgroup Version", server.get("CgroupVersion"))
    plugins = server.get("Plugins") or {}
    if plugins:
        lines.append(" Plugins:")
        for name in ("Volume", "Network", "Log"):
            line(name, " ".join(plugins.get(name) or []), "  ")
    line("Runtimes", " ".join(server.get("Runtimes") or {}))
    line("Default Runtime", server.get("DefaultRuntime"))
    options = server.get("SecurityOptions") or []
    if options:
        lines.append(" Security Options:")
        lines += [
            f"  {text.removeprefix('name=').replace(',', chr(10) + '   ').replace('=', ': ')}"
            for text in options
        ]
    line("Kernel Version", server.get("KernelVersion"))
    line("Operating System", server.get("OperatingSystem"))
    line("OSType", server.get("OSType"))
    line("Architecture", server.get("Architecture"))
    line("CPUs", server.get("NCPU"))
    line("Total Memory", format_binary_size(server.get("MemTotal", 0)))
    line("Name", server.get("Name"))
    line("ID", server.get("ID"))
    line("Root Dir", server.get("DockerRootDir"))
    line("Debug Mode", bool(server.get("Debug")))
    labels = server.get("Labels") or []
    if labels:
        lines += [" Labels:", *(f"  {label}" for label in labels)]
    line("Live Restore Enabled", server.get("LiveRestoreEnabled"))
    return lines

"""Help texts of the command line; loaded only to be shown."""

from __future__ import annotations

from wharfie.runtime.options import COMMANDS, FLAG, GLOBAL, SHORT

_ID = "<container-id>"
_COMMANDS = {
    "checkpoint": ("checkpoint a running container", _ID),
    "create": ("create a container", _ID),
    "delete": ("delete what a container holds; one that runs with --force", _ID),
    "events": ("show statistics every few seconds, and when memory runs out", _ID),
    "exec": ("run a new process in a container", f"{_ID} <command> [arguments]  ||  -p process.json {_ID}"),
    "features": ("show what this runtime can do", ""),
    "kill": ("send a signal (default: SIGTERM) to a container's first process", f"{_ID} [signal]"),
    "list": ("list the containers below --root", ""),
    "pause": ("suspend all processes of a container", _ID),
    "ps": ("show the processes of a container", f"{_ID} [ps options]"),
    "restore": ("restore a container from a checkpoint", _ID),
    "resume": ("resume what pause suspended", _ID),
    "run": ("create and start a container, and stay with it", _ID),
    "spec": ("write a config.json to begin with", ""),
    "start": ("run the program of a created container", _ID),
    "state": ("print the state of a container", _ID),
    "update": ("change a container's limits", _ID),
}
_OPTIONS = {
    "additional-gids": "further groups",
    "all": "to all processes of the container",
    "apparmor": "AppArmor profile of the process",
    "auto-dedup": "have CRIU drop memory pages that a later image has",
    "blkio-weight": "weight for disks, 10 to 1000",
    "bundle": "directory with config.json and the root file system (default: this one)",
    "cap": "add a capability",
    "cgroup": "run the process in a group below the container's: [<controller>:]<path>",
    "console-socket": "Unix socket that gets the terminal's master",
    "cpu-burst": "CPU time that may be saved up, in microseconds",
    "cpu-idle": "1: only when nobody else wants the CPU",
    "cpu-period": "CPU period in microseconds",
    "cpu-quota": "CPU time in a period, in microseconds",
    "cpu-rt-period": "real-time CPU period in microseconds",
    "cpu-rt-runtime": "real-time CPU time in a period, in microseconds",
    "cpu-share": "CPU weight",
    "cpuset-cpus": "CPUs to use",
    "cpuset-mems": "memory nodes to use",
    "criu": 'the CRIU program (default: "criu")',
    "cwd": "working directory in the container",
    "debug": "log each step",
    "detach": "do not wait for the process's end",
    "empty-ns": "a kind of namespace that is made and not filled",
    "env": "set an environment variable",
    "ext-unix-sk": "allow Unix sockets whose other end is outside",
    "file-locks": "save and restore file locks",
    "force": "also if it runs (by SIGKILL), and without complaint if it does not exist",
    "format": 'table or json (default: "table")',
    "help": "show help",
    "ignore-paused": "also in a paused container, where the process waits",
    "image-path": "directory of the images (default: ./checkpoint)",
    "interval": "time between statistics (default: 5s)",
    "keep": "do not delete the container when it ends",
    "kernel-memory": "accepted and without effect, as the kernel has dropped it",
    "kernel-memory-tcp": "limit for TCP buffers, in bytes",
    "l3-cache-schema": "cache schema of Intel RDT",
    "lazy-pages": "fetch memory when it is used (userfaultfd)",
    "leave-running": "let the container run on",
    "log": "file for log entries (default: standard error)",
    "log-format": 'text or json (default: "text")',
    "lsm-mount-context": "security context of restored mounts",
    "lsm-profile": "security profile of the restored container, TYPE:NAME",
    "manage-cgroups-mode": "soft (default), full, strict or ignore",
    "mem-bw-schema": "memory bandwidth schema of Intel RDT",
    "memory": "memory limit in bytes",
    "memory-reservation": "memory to be left when memory is short, in bytes",
    "memory-swap": "limit for memory and swap together, -1 for none",
    "no-new-keyring": "keep the caller's session keyring",
    "no-new-privs": "the process cannot gain privileges",
    "no-pivot": "move the root instead of pivot_root, where that is on a ramdisk",
    "no-subreaper": "accepted: nothing is adopted",
    "page-server": "ADDRESS:PORT of CRIU's page server",
    "parent-path": "images of an earlier --pre-dump",
    "pid-file": "file for the process id",
    "pidfd-socket": "Unix socket that gets a pidfd of the process",
    "pids-limit": "how many processes there may be",
    "pre-dump": "save memory alone and let the container run on",
    "preserve-fds": "how many descriptors from 3 on the process keeps, beside those of $LISTEN_FDS",
    "process": "file with the process, as in config.json",
    "process-label": "SELinux label of the process",
    "quiet": "only ids",
    "resources": 'file with limits, as in config.json ("-": standard input); then no other option counts',
    "root": 'directory of states (default: "/run/wharfie-runtime"; without root below $XDG_RUNTIME_DIR)',
    "rootless": "true, false or auto (default): whether a container may go without control groups",
    "shell-job": "allow a terminal that is not the container's",
    "stats": "print statistics once",
    "status-fd": "descriptor that CRIU tells when lazy pages are ready",
    "systemd-cgroup": "have systemd make the control group; cgroupsPath is slice:prefix:name",
    "tcp-established": "allow open TCP connections",
    "tcp-skip-in-flight": "leave out connections that are only being made",
    "tty": "give the process a terminal",
    "user": "<uid>[:<gid>]",
    "version": "print the version",
    "work-path": "directory of CRIU's logs",
}


def text(command: str = "") -> str:
    """The help of a command, or of the whole."""
    if not command:
        width = max(map(len, _COMMANDS))
        commands = "".join(f"   {name:{width}}  {about[0]}\n" for name, about in _COMMANDS.items())
        return (
            "NAME:\n   wharfie-runtime - Open Container Initiative runtime\n\n"
            "USAGE:\n   wharfie-runtime [global options] command [command options] [arguments...]\n\n"
            f"COMMANDS:\n{commands}   {'help, h':{width}}  show this, or the help of a command\n\n"
            f"GLOBAL OPTIONS:\n{_table(GLOBAL, '')}"
        )
    about, arguments = _COMMANDS[command]
    options = COMMANDS[command]
    usage = " ".join(filter(None, (command, "[command options]" if options else "", arguments)))
    listed = f"\nOPTIONS:\n{_table(options, command)}" if options else ""
    return f"NAME:\n   wharfie-runtime {command} - {about}\n\nUSAGE:\n   wharfie-runtime {usage}\n{listed}"


def _table(options: dict[str, str], command: str) -> str:
    short = {name: letter for letter, name in SHORT.get(command, {}).items()}
    rows = []
    for name, kind in sorted(options.items()):
        spoken = [f"--{name}", *([f"-{short[name]}"] if name in short else [])]
        rows.append((", ".join(word if kind == FLAG else f"{word} value" for word in spoken), _OPTIONS[name]))
    width = max(len(row[0]) for row in rows)
    return "".join(f"   {left:{width}}  {right}\n" for left, right in rows)

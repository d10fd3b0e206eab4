"""What ``--help`` shows of a command in use: pairs of what is wanted and how."""

from __future__ import annotations

EXAMPLES: dict[str, tuple[tuple[str, str], ...]] = {
    "run": (
        ("a shell in a container that is gone afterwards", "run --rm -it debian bash"),
        ("a service that starts again by itself", "run -d --name web --restart always -p 8080:80 nginx"),
        ("this directory as the working directory", "run --rm -v .:/src -w /src python python build.py"),
        ("half a CPU, 256 MiB, no network", "run --rm --cpus 0.5 -m 256m --network none debian true"),
    ),
    "exec": (
        ("a shell in a running container", "exec -it web sh"),
        ("as another user, with a variable", "exec -u www-data -e LANG=C web id"),
    ),
    "ps": (
        ("stopped ones that failed", "ps -a -f status=exited -f exited=1"),
        ("names and states only", "ps --format 'table {{.Names}}\\t{{.Status}}'"),
    ),
    "logs": (
        ("the last lines, and what comes", "logs -f -n 20 web"),
        ("an hour ago until ten minutes ago", "logs --since 1h --until 10m web"),
    ),
    "build": (
        ("this directory, by its Dockerfile", "build -t app ."),
        ("one stage, with a variable and a secret", "build --target test --build-arg V=2 --secret id=key ."),
        ("files of the result instead of an image", "build -o out ."),
    ),
    "cp": (
        ("a file out of a container", "cp web:/etc/nginx/nginx.conf ."),
        ("an archive into it", "cp - web:/srv <site.tar"),
    ),
    "pull": (
        ("from another registry", "pull registry.example:5000/team/app:1"),
        ("exactly this content", "pull debian@sha256:…"),
    ),
    "images": (("what no container and no name holds", "images -f dangling=true"),),
    "events": (("deaths of the last hour, then live", "events --since 1h -f event=die"),),
    "stats": (("once, for a script", "stats --no-stream --format '{{.Name}} {{.MemUsage}}'"),),
    "inspect": (
        ("one field", "inspect -f '{{.State.ExitCode}}' web"),
        ("what it mounts", "inspect -f '{{range .Mounts}}{{.Source}} {{end}}' web"),
    ),
    "network create": (
        ("a network with names and addresses of its own", "network create --subnet 10.5.0.0/24 back"),
        ("one without a way out", "network create --internal sealed"),
    ),
    "volume create": (("a volume that cannot grow beyond a size", "volume create -o size=1g data"),),
    "context create": (
        ("a daemon on another machine", "context create far --docker host=ssh://me@far"),
        ("one with certificates", "context create tls --docker host=tcp://h:2376,ca=ca.pem,cert=c.pem,key=k.pem"),
    ),
    "update": (("less memory, while it runs", "update -m 128m --memory-swap 256m web"),),
    "save": (("an image to another machine", "save app | ssh far wharfie load"),),
    "completion": (("for this shell", "completion zsh >~/.zfunc/_wharfie"),),
}  # fmt: skip

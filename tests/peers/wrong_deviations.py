"""Where our answer to a request that cannot be met is another than Docker's, and why."""

from __future__ import annotations

from tests.peers.wrongs import Answer

NEWER = {
    "invalid name:": "invalid name: name is empty",
    "Pool overlaps with other one on this address space": (
        "invalid pool request: Pool overlaps with other one on this address space"
    ),
    "error while removing network: network base id <id> has active endpoints": (
        'error while removing network: network base has active endpoints (name:"there" id:"<short id>")'
    ),
}
"""Docker's words of later versions, which say more."""

PULLS = "the command lines would take a 404 of create for a missing image, and pull it"
NO_SWARM = "there is no swarm that could be joined"
STRICT = "Docker takes it and does something else, or nothing"
CLEARER = "ours says what is wrong"
BEHAVIOUR: dict[str, tuple[str, int, str]] = {
    "network: no body": (STRICT, 400, "invalid JSON: got EOF while reading request body"),
    "network: an overlay without a swarm": (
        NO_SWARM, 501, "networks across machines are not supported: this node is not a swarm manager"),
    "network: the scope swarm": (
        NO_SWARM, 501, "networks across machines are not supported: this node is not a swarm manager"),
    "network: ingress without a swarm": (
        NO_SWARM, 501, "networks across machines are not supported: this node is not a swarm manager"),
    "network: a macvlan without its device": (
        CLEARER, 400, "the requested parent interface nosuch0 was not found on this host"),
    "network: the subnet 10.71.0.0/32": (
        STRICT, 400, "failed to allocate gateway (): no available addresses in <address>/32"),
    **{
        f"network: com.docker.network.bridge.name={name}": (
            CLEARER, 400, f"invalid bridge name {name}: 1 to 15 letters, digits, dots, dashes, underscores")
        for name in ("averyveryverylongname", "a/b", "a b")
    },
    "connect: a network that is not there": (STRICT, 404, "network nosuch not found"),
    "publish: the port 80/nosuch": (CLEARER, 400, 'invalid port specification: "80/nosuch"'),
    "publish: the port 0/tcp": (STRICT, 400, 'invalid port specification: "0"'),
    "publish: the port 80/tcp/udp": (STRICT, 400, 'invalid port specification: "80/tcp/udp"'),
    "publish: the port /tcp": (CLEARER, 400, 'invalid port specification: ""'),
    "publish: the port ": (CLEARER, 400, 'invalid port specification: ""'),
    "publish: the host's port 8077/tcp": (STRICT, 400, 'invalid port specification: "8077/tcp"'),
    **{
        f"publish: the host's address {text}": (STRICT, 400, f"invalid IP address: {text}")
        for text in ("x", "300.1.1.1", "10.0.0")
    },
    "publish: the host's address 203.0.113.99": (
        "there is no userland proxy", 400,
        "failed to bind host port 203.0.113.99:8077/tcp: cannot assign requested address"),
    "publish: the host's address fd71::99": (
        "there is no userland proxy", 400,
        "failed to bind host port [fd71::99]:8077/tcp: cannot assign requested address"),
    "container: no such network": (PULLS, 400, "network nosuch not found"),
    "container: the network of nobody": (PULLS, 400, "No such container: nosuch"),
    "container: another's network and a hardware address": (
        STRICT, 400, "conflicting options: mac-address and the network mode"),
    "container: a link without an alias": (STRICT, 400, "bad format for links: there:"),
    "seat: a network that is not there besides": (PULLS, 400, "network nosuch not found"),
    "mount: a volume of no driver": (
        PULLS, 400, 'create bad: error looking up volume plugin nosuch: plugin "nosuch" not found'),
    "mount: a tmpfs below nothing": (
        CLEARER, 400, 'invalid mount config for type "tmpfs": the size must not be negative'),
    "mount: a tmpfs of no mode": (STRICT, 400, 'invalid mount config for type "tmpfs": invalid mode: 303237'),
    "mounts: a tmpfs and a mount at one place": (STRICT, 400, "Duplicate mount point: /x"),
    "mounts: no such volume driver": (
        PULLS, 400, 'create bad: error looking up volume plugin nosuch: plugin "nosuch" not found'),
    "mounts: a layer's size that is none": ("sizes of layers are supported", 400, "invalid size: 'x'"),
    "volume: the name 'xxxxxxxxx'": (
        CLEARER, 400,
        f'create {"x" * 256}: "{"x" * 256}" includes invalid characters for a local volume name, only '
        '"[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute '
        "path"),
}  # fmt: skip


def alike(name: str, docker: Answer, ours: Answer) -> bool:
    """Whether ours is Docker's answer, or what stands here instead."""
    if name in BEHAVIOUR:
        return ours == Answer(*BEHAVIOUR[name][1:]) and ours != docker
    wanted = NEWER.get(docker.message, docker.message)
    if "OCI runtime create failed" in wanted:
        # the runtime's own words, about the same place
        return ours.status >= 400 and 'mounting "tmpfs" to rootfs at "/x"' in ours.message
    if wanted.startswith("invalid JSON: "):
        # the decoder's own words
        return ours.status == docker.status and ours.message.startswith("invalid JSON: ")
    if wanted.endswith("invalid filter"):
        return ours.status == docker.status and ours.message.startswith("invalid filter: ")
    if wanted.endswith("port is already allocated"):
        # and by whom
        wanted += " by container there"
    # Docker has 500 for much that the request is to blame for
    blamed = docker.status == 500 and ours.status in (400, 403)
    return ours.message == wanted and (ours.status == docker.status or blamed)

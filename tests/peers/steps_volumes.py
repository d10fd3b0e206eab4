"""Every form of a mount, every driver and option of a volume."""

# ruff: noqa: E501

from __future__ import annotations

from tests.peers.step import code, exact, shell

_BOUND = "mkdir -p host/sub; echo one > host/f; echo two > host/sub/g; mkdir other; echo solo > solo"
_BIND = "docker run --rm -v $PWD/host:/x"
_MOUNT = "docker run --rm --mount type=bind,source=$PWD/host,target=/x"
_LOOK = 'busybox sh -c \'cat /x/f; (touch /x/new && rm /x/new) 2>&1; grep " /x " /proc/self/mountinfo | cut -d" " -f4,5,6 | cut -d" " -f3 | tr , "\\n" | grep -x -e ro -e rw\''

BINDS = (
    shell(f"{_BOUND}; find . | sort"),
    *(shell(f"{_BIND}{mode} {_LOOK}") for mode in ("", ":rw", ":ro", ":z", ":Z", ":ro,Z", ":cached", ":delegated", ":consistent", ":rw,cached")),
    *(shell(f"{_BIND}:{mode} {_LOOK}") for mode in ("nocopy", "wrong", "ro,rw", "z,Z", "ro,ro", "private,shared", "cached,delegated", ",", "ro,", "RO")),
    *(shell(f"{_BIND}:{mode} busybox true", "code") for mode in ("private", "rprivate")),
    *(shell(f"{_MOUNT}{more} {_LOOK}") for more in ("", ",readonly", ",ro", ",readonly=true", ",ro=false", ",readonly=1", ",consistency=cached", ",bind-propagation=rprivate", ",bind-nonrecursive", ",bind-recursive=disabled", ",bind-recursive=enabled", ",bind-recursive=writable,readonly")),
    *(shell(f"{_MOUNT}{more} busybox true") for more in (",readonly=maybe", ",bind-recursive=readonly", ",bind-recursive=writable", ",bind-recursive=no", ",bind-propagation=often", ",consistency=rarely", ",volume-nocopy", ",tmpfs-size=1m", ",volume-subpath=a", ",nosuch=1", ",bind-nonrecursive=x", ",readonly,bind-recursive=readonly,bind-propagation=shared")),
    shell("docker run --rm -v $PWD/solo:/etc/solo busybox cat /etc/solo"),
    shell("docker run --rm -v $PWD/solo:/etc/passwd:ro busybox cat /etc/passwd"),
    shell("docker run --rm -v $PWD/solo:/etc busybox true", "code"),
    shell("docker run --rm -v $PWD/host:/etc/passwd busybox true", "code"),
    shell("docker run --rm -v $PWD/made/by/daemon:/x busybox ls /x; ls -d made/by/daemon"),
    shell("docker run --rm --mount type=bind,source=$PWD/nosuch,target=/x busybox true; ls nosuch"),
    shell("docker run --rm --mount type=bind,source=relative,target=/x busybox true"),
    shell("docker run --rm --mount type=bind,target=/x busybox true"),
    shell("docker run --rm --mount type=bind,source=$PWD/host busybox true"),
    shell("docker run --rm --mount type=bind,source=$PWD/host,target=x busybox true"),
    shell("docker run --rm --mount type=bind,source=$PWD/host,target=/ busybox true"),
    shell("docker run --rm --mount source=$PWD/host,target=/x busybox true"),
    shell("docker run --rm --mount type=bind,src=$PWD/host,dst=/x busybox cat /x/f"),
    shell("docker run --rm --mount \"type=bind,source=$PWD/host,destination=/x\" busybox cat /x/sub/g"),
    shell("docker run --rm -v $PWD/host:/x -v $PWD/other:/x busybox true"),
    shell("docker run --rm -v $PWD/host:/x --mount type=bind,source=$PWD/other,target=/x/ busybox true"),
    shell("docker run --rm -v $PWD/host:/x --tmpfs /x busybox true"),
    shell("docker run --rm -v $PWD/host:/x -v $PWD/other:/x/sub busybox sh -c 'ls /x /x/sub; touch /x/sub/n'; ls other host/sub"),
    shell("docker run --rm -v $PWD/other:/a/b/c/d busybox ls /a/b/c/d"),
    shell("ln -s host link; docker run --rm -v $PWD/link:/x busybox cat /x/f"),
    shell("docker run --rm -v $PWD/host busybox sh -c 'mount | grep -c host'"),
    shell("docker run --rm -v ./host:/x busybox cat /x/f; docker run --rm -v host/sub:/x busybox true"),
    shell("docker run --rm -v :/x busybox true; docker run --rm -v /x: busybox true; docker run --rm -v a:b:c:d busybox true; docker run --rm -v '' busybox true"),
    shell("docker run --rm -v $PWD/host:/x:ro busybox sh -c 'mount -o remount,rw /x' 2>&1 | grep -c -i -e denied -e permitted"),
    # in any order: docker's command line goes through a map of Go's
    shell("docker run -d --name b1 -v $PWD/host:/x:ro --mount type=bind,source=$PWD/other,target=/y,bind-propagation=private -v $PWD/solo:/z:Z busybox sleep 100; docker inspect --format '{{range .Mounts}}{{.Type}} {{.Destination}} {{.Mode}} {{.RW}} {{.Propagation}};{{end}}' b1 | tr ';' '\\n' | sort; docker inspect --format '{{range .HostConfig.Binds}}{{.}};{{end}}' b1 | tr ';' '\\n' | sort; docker inspect --format '{{json .HostConfig.Mounts}}' b1; docker rm -f b1"),
)  # fmt: skip

TMPFS = (
    *(shell(f"docker run --rm --tmpfs /x{options} busybox sh -c 'grep \" /x \" /proc/mounts | cut -d\" \" -f3,4; touch /x/f && echo written'") for options in ("", ":size=1m", ":ro", ":exec,size=64k", ":mode=700,uid=5,gid=6", ":rw,noexec,nosuid,size=65536k")),
    *(shell(f"docker run --rm --tmpfs {value} busybox true") for value in ("x", "/", "/x:nosuch", "/x:lowerdir=/etc")),
    *(shell(f"docker run --rm --mount type=tmpfs,target=/x{more} busybox sh -c 'grep \" /x \" /proc/mounts | cut -d\" \" -f3,4; touch /x/f && echo written'") for more in ("", ",tmpfs-size=1m", ",tmpfs-mode=1770", ",tmpfs-size=64k,tmpfs-mode=700", ",readonly", ",ro,tmpfs-size=1g")),
    *(shell(f"docker run --rm --mount type=tmpfs,target=/x,{more} busybox true") for more in ("source=/a", "tmpfs-size=x", "tmpfs-mode=999", "tmpfs-mode=rw", "bind-propagation=shared", "volume-nocopy", "tmpfs-nosuch=1")),
    exact("run --rm --mount type=tmpfs busybox true"),
    exact("run --rm --mount type=tmpfs,target=rel busybox true"),
    exact("run --rm --mount type=nosuch,target=/x busybox true"),
    exact("run --rm --mount target=/x,typ=volume busybox true"),
    shell("docker run --rm --tmpfs /x:size=1m busybox sh -c 'dd if=/dev/zero of=/x/f bs=64k count=32 2>&1 | head -1'"),
    shell("docker run --rm --tmpfs /a --tmpfs /a/b busybox sh -c 'touch /a/1 /a/b/2; find /a | sort'"),
    shell("docker run -d --name t1 --tmpfs /x:size=1m --mount type=tmpfs,target=/y,tmpfs-size=2m busybox sleep 100; docker inspect --format '{{json .HostConfig.Tmpfs}} {{json .HostConfig.Mounts}} {{range .Mounts}}{{.Type}} {{.Destination}} {{.RW}};{{end}}' t1; docker rm -f t1"),
    shell("docker run --name t2 --tmpfs /x busybox touch /x/f; docker start -a t2; docker cp t2:/x/f - ; docker rm t2"),
)  # fmt: skip

_DRIVER = "docker volume create --opt type=tmpfs --opt device=tmpfs"

DRIVERS = (
    *(exact(f"volume create {options} bad") for options in ("-o type=tmpfs", "-o device=tmpfs", "-o o=bind", "-o o=bind -o type=none", "-o nosuch=1", "-o type=tmpfs -o device=x -o other=1", "-d nosuch")),
    *(exact("volume create", name) for name in ("a", "../x", "a/b", ".x", "-", "a b", "a:b", "A_b-c.d", "x" * 250)),
    exact("volume rm A_b-c.d", "x" * 250),
    shell(f"{_DRIVER} --opt o=size=1m,uid=1000,mode=750 mem; docker volume inspect --format '{{{{.Name}}}} {{{{.Driver}}}} {{{{json .Options}}}} {{{{json .Labels}}}} {{{{.Scope}}}}' mem"),
    shell("docker run --rm -v mem:/x busybox sh -c 'grep \" /x \" /proc/mounts | cut -d\" \" -f3,4; stat -c \"%a %u %g\" /x; dd if=/dev/zero of=/x/f bs=64k count=32 2>&1 | head -1'"),
    shell("docker run --rm -v mem:/x busybox ls /x"),
    shell("docker run -d --name m1 -v mem:/x busybox sh -c 'echo shared > /x/f; sleep 100'; until docker exec m1 test -e /x/f; do :; done; docker run --rm -v mem:/y:ro busybox sh -c 'cat /y/f; touch /y/g'; docker run --rm --volumes-from m1 busybox cat /x/f; docker cp m1:/x/f - | tar xO"),
    shell("docker run -d --name m2 --mount type=volume,source=mem,target=/z busybox sleep 100; docker rm -f m1; docker exec m2 cat /z/f; docker rm -f m2; docker run --rm -v mem:/x busybox ls /x"),
    shell("mkdir -p place; echo kept > place/f; docker volume create -o type=none -o o=bind -o device=$PWD/place bound; docker run --rm -v bound:/x busybox sh -c 'cat /x/f; touch /x/g'; ls place"),
    shell("docker volume create -o type=none -o o=bind,ro -o device=$PWD/place fixed; docker run --rm -v fixed:/x busybox sh -c 'cat /x/f; touch /x/h'; ls place"),
    shell("docker volume create -o type=none -o o=bind -o device=$PWD/nosuch gone; docker run --rm -v gone:/x busybox true; echo $?", "code"),
    shell("docker volume create -o type=nosuchfs -o device=x strange; docker run --rm -v strange:/x busybox true; echo $?", "code"),
    shell(f"{_DRIVER} bound; docker volume inspect --format '{{{{json .Options.type}}}}' bound"),
    shell("docker run --rm -v bound:/etc busybox sh -c 'ls /etc | sort | head -3'; ls place"),
    shell("docker run --rm --mount type=volume,source=fresh,target=/etc,volume-label=a=b,volume-label=c,volume-opt=type=tmpfs,volume-opt=device=tmpfs,volume-driver=local busybox sh -c 'grep \" /etc \" /proc/mounts | cut -d\" \" -f3'; docker volume inspect --format '{{json .Labels}} {{json .Options}}' fresh"),
    shell("docker run --rm --volume-driver local -v named:/x busybox true; docker volume ls -q --filter name=named"),
    exact("volume ls -q --filter driver=local --filter name=bound"),
    exact("volume ls -q --filter driver=nosuch"),
    exact("volume ls -q --filter name=^mem"),
    exact("volume ls -q --filter name=me --filter name=fix"),
    exact("volume ls -q --filter label=a --filter label=c"),
    exact("volume ls -q --filter label=a=x"),
    exact("volume ls -q --filter dangling=maybe"),
    exact("volume ls --filter dangling"),
    exact("volume prune -f --filter nosuch=1"),
    exact("volume prune -f --filter dangling=true"),
    exact("volume prune -f -a --filter label=a=b"),
    shell("docker volume prune -f --filter all=true --filter label!=x | sort", "numbers"),
    exact("volume inspect"),
    exact("volume rm"),
    exact("volume update nosuch"),
    exact("volume update --availability pause mem"),
    shell("docker run -d --name m3 -v mem:/x busybox sleep 100; docker volume rm mem; docker volume rm -f mem; docker volume prune -fa --filter label=a; docker rm -f m3"),
    exact("volume rm mem bound fixed gone strange named fresh"),
    exact("volume ls -q"),
)  # fmt: skip

VOLUME_MOUNTS = (
    shell("docker run --rm -v v1:/x busybox sh -c 'echo data > /x/f; mkdir /x/d; echo deep > /x/d/g; ln -s /etc/passwd /x/out; ln -s ../../.. /x/up; ln -s d /x/in'"),
    *(shell(f"docker run --rm -v v1:/x:{mode} busybox sh -c 'cat /x/f; touch /x/n && rm /x/n'") for mode in ("rw", "ro", "nocopy", "z", "Z", "ro,nocopy", "cached", "private", "rshared", "ro-non-recursive", "nosuch")),
    *(shell(f"docker run --rm --mount type=volume,source=v1,target=/x{more} busybox sh -c 'cat /x/f; touch /x/n && rm /x/n'") for more in ("", ",readonly", ",volume-nocopy", ",volume-nocopy=false", ",consistency=delegated", ",ro,volume-nocopy=true")),
    *(shell(f"docker run --rm --mount type=volume,source=v1,target=/x,{more} busybox true") for more in ("bind-propagation=private", "tmpfs-size=1m", "volume-nocopy=x", "volume-nosuch", "bind-nonrecursive")),
    *(shell(f"docker run --rm --mount type=volume,source=v1,target=/y,volume-subpath={path} busybox cat /y/g") for path in ("d", "./d", "d/.", "in")),
    *(code(f"run --rm --mount type=volume,source=v1,target=/y,volume-subpath={path} busybox true") for path in ("nosuch", "up/etc", "f/x")),
    *(exact(f"run --rm --mount type=volume,source=v1,target=/y,volume-subpath={path} busybox true") for path in ("../v1", "/d", "d/../..", "..")),
    shell("docker run --rm --mount type=volume,source=v1,target=/y,volume-subpath=f busybox cat /y"),
    shell("docker run --rm --mount type=volume,source=v1,target=/y,volume-subpath=d,readonly busybox sh -c 'cat /y/g; touch /y/h'"),
    exact("run --rm --mount type=volume,target=/y,volume-subpath=d busybox true"),
    exact("run --rm --mount type=volume,target=/y,readonly busybox true"),
    exact("run --rm --mount type=volume,source=a/b,target=/y busybox true"),
    exact("run --rm --mount type=volume,source=v1 busybox true"),
    exact("run --rm -v bad/name:/x busybox true"),
    shell("docker run --name f1 -v v1:/x -v /anon -v $PWD:/host:ro --tmpfs /mem busybox true; docker run --rm --volumes-from f1 busybox sh -c 'cat /x/f; ls -d /anon /host; ls /mem; touch /host/n'"),
    *(shell(f"docker run --rm --volumes-from f1:{mode} busybox sh -c 'touch /x/n && rm /x/n; touch /anon/n'") for mode in ("ro", "rw", "z", "ro,z", "nosuch", "nocopy")),
    exact("run --rm --volumes-from nosuch busybox true"),
    shell("docker run --rm --volumes-from f1 -v v2:/x busybox ls /x"),
    shell("docker run --name f2 --volumes-from f1 busybox true; docker inspect --format '{{range .Mounts}}{{.Type}} {{.Destination}} {{.RW}};{{end}}' f2 | tr ';' '\\n' | sort; docker rm -v f1; docker run --rm --volumes-from f2 busybox cat /x/f; docker volume rm v1; docker rm -v f2"),
    shell("docker run --rm -v copied:/etc busybox true; docker run --rm -v copied:/y busybox sh -c 'stat -c \"%a %u %g\" /y /y/passwd; ls /y | sort'"),
    shell("docker run --rm -v copied:/bin busybox true 2>/dev/null; docker run --rm -v empty:/nothere busybox ls -d /nothere"),
    shell("docker run --rm -v linked:/bin busybox true; docker run --rm -v linked:/y busybox sh -c 'stat -c %h /y/busybox | grep -c ..'"),
    shell("docker run --rm -v one:/etc -v one:/y busybox sh -c 'ls /y | sort | head -2'"),
    shell("echo 'FROM busybox\nRUN mkdir -p /data && echo built > /data/f && chown 5:6 /data/f\nVOLUME /data\nVOLUME [\"/more\", \"/data2\"]' > /dev/null; docker create --name img busybox; docker commit --change 'VOLUME [\"/data\", \"/etc/inner\"]' img with-volumes; docker rm img; docker run --name w1 with-volumes sh -c 'touch /data/f; ls -d /etc/inner'; docker inspect --format '{{range .Mounts}}{{.Type}} {{.Destination}} {{.RW}} {{.Driver}};{{end}}' w1 | tr ';' '\\n' | sort; docker rm -v w1; docker volume ls -qf dangling=true | grep -c '^[0-9a-f]\\{64\\}$'; docker run --rm -v $PWD:/data with-volumes sh -c 'ls -d /data'; docker rmi with-volumes >/dev/null"),
    shell("docker run --rm -v v1:/x -v v1:/y:ro busybox sh -c 'touch /y/a; touch /x/b; ls /y/b; rm /x/b'"),
    shell("docker volume rm v1 v2 copied empty linked one"),
    shell("docker volume prune -f >/dev/null; docker volume ls -q"),
)  # fmt: skip

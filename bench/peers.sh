#!/bin/sh
# Unpacks newer engines than the distribution's into .cache/peers, to compare with: dockerd 26 and containerd 1.7
# from the next Debian release, and Compose v2.
#
#   bench/peers.sh [PACKAGE...]      (default: all of them)
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
peers=$root/.cache/peers
[ $# -gt 0 ] || set -- docker.io containerd docker-cli docker-buildx docker-compose
wanted=
for package in "$@"; do
    ls "$peers/packages/${package}"_*.deb >/dev/null 2>&1 || wanted="$wanted $package"
done
[ -z "$wanted" ] || "$root/scripts/newer" "$peers" trixie $wanted

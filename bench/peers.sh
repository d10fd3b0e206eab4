#!/bin/sh
# Unpacks newer engines than the distribution's into .cache/peers, to compare with: dockerd 26 and containerd 1.7
# from the next Debian release.
#
#   bench/peers.sh [suite]      (default: trixie)
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
peers=$root/.cache/peers
[ -x "$peers/root/usr/sbin/dockerd" ] && exit 0
exec "$root/scripts/newer" "$peers" "${1:-trixie}" docker.io containerd docker-cli docker-buildx docker-compose

#!/bin/sh
# Unpacks newer engines than the distribution's into .cache/peers, to compare with: dockerd 26 and containerd 1.7
# from the next Debian release, without installing anything. The mirror is the one apt uses here already.
#
#   bench/peers.sh [suite]      (default: trixie)
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
suite=${1:-trixie}
peers=$root/.cache/peers
[ -x "$peers/root/usr/sbin/dockerd" ] && exit 0
mkdir -p "$peers/lists/partial" "$peers/cache/archives/partial" "$peers/packages" "$peers/root"

mirror=$(apt-get indextargets --format '$(SITE) $(REPO_URI)' 'Created-By: Packages' |
    awk '$2 !~ /security/ && $2 ~ /debian\/?/ { print $2; exit }')
[ -n "$mirror" ] || { echo "peers: apt names no Debian mirror here" >&2; exit 1; }
printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n' "$mirror" "$suite" >"$peers/sources.list"

set -- -o "Dir::Etc::sourcelist=$peers/sources.list" -o Dir::Etc::sourceparts=- -o "Dir::State::lists=$peers/lists" \
    -o "Dir::Cache=$peers/cache" -o Dir::State::status=/dev/null -o APT::Sandbox::User=root -o Acquire::Check-Valid-Until=false
apt-get "$@" update -qq
cd "$peers/packages"
apt-get "$@" download -qq docker.io containerd docker-cli docker-buildx docker-compose
for package in *.deb; do
    dpkg -x "$package" "$peers/root"
done
rm -rf "$peers/cache" "$peers/lists"

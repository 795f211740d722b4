#!/bin/sh
# fetch-chibi.sh FOLDER — unpack Debian's chibi-scheme-common (suite forky, architecture all) into
# FOLDER without installing it. The mirror is that of the machine's own apt sources, or
# DEBIAN_MIRROR. Fails loudly.
set -eu

target=${1:?usage: fetch-chibi.sh FOLDER}
mirror=${DEBIAN_MIRROR:-$(cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null |
  grep -v '^#' | grep -oE 'https?://[^ ]+/debian/?( |$)' | head -n 1 | tr -d ' ')}
if [ -z "$mirror" ]; then
  echo "fetch-chibi: no Debian mirror in the apt sources; set DEBIAN_MIRROR" >&2
  exit 1
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
if [ -f "$keyring" ]; then option="[signed-by=$keyring] "; else option=""; fi
echo "deb ${option}$mirror forky main" > "$work/sources.list"

apt() {
  apt-get -qq -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=/dev/null \
    -o Dir::State::Lists="$work/lists" -o Dir::Cache="$work/cache" -o APT::Sandbox::User=root "$@"
}
apt update
(cd "$work" && apt download chibi-scheme-common:all)
mkdir -p "$target"
dpkg-deb -x "$work"/chibi-scheme-common_*.deb "$target"
test -f "$target/usr/share/chibi/chibi/test.sld"
echo "$target/usr/share/chibi"

#!/bin/sh
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#
# How long the first `cargo xtask demo` takes at each of these commits: from a clone of its own, with
# nothing built and an empty cache, one after the other. What apt installs, and crates that cargo has
# fetched, are there for all: run it twice on a new machine.
#
#     xtask/first-demo.sh fbef21b HEAD
set -eu
[ $# -gt 0 ] || {
	echo "usage: $0 COMMIT..." >&2
	exit 2
}
repository=$(cd "$(dirname "$0")/.." && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
first=
for commit; do
	git clone --quiet "$repository" "$folder/clone"
	git -C "$folder/clone" checkout --quiet "$(git -C "$repository" rev-parse "$commit")"
	start=$(date +%s)
	(cd "$folder/clone" && VIRTIO_BACKENDS_CACHE="$folder/cache" \
		cargo xtask demo) >"$folder/log" 2>&1 || {
		cat "$folder/log"
		exit 1
	}
	seconds=$(($(date +%s) - start))
	[ "$first" ] || first=$seconds
	echo "$commit: $seconds s, $((100 * seconds / first)) % of the first; $(tail -n 1 "$folder/log")"
	rm -rf "$folder/clone" "$folder/cache"
done

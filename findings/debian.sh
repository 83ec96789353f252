# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#
# For the scripts beside this one: Debian's packages of given versions, with all that they depend on,
# in a temporary folder. Nothing is installed. Where Debian's archive is, the machine's own package
# sources say, or VIRTIO_BACKENDS_DEBIAN.

set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
architecture=$(dpkg --print-architecture)
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# apt, with a configuration and a state of its own: SUITES COMMAND...
debian_apt() {
	suites=$1
	shift
	mkdir -p "$folder/apt/lists/partial" "$folder/apt/packages/partial"
	: >"$folder/apt/status"
	archive=${VIRTIO_BACKENDS_DEBIAN:-$(apt-get indextargets --no-release-info \
		--format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' |
		awk '$2 ~ /^(bookworm|trixie|forky|sid)$/ { print $1; exit }')}
	[ "$archive" ] || {
		echo "no Debian archive among this machine's package sources: set VIRTIO_BACKENDS_DEBIAN" >&2
		exit 2
	}
	for suite in $suites; do
		echo "deb [signed-by=$keyring] $archive $suite main"
	done >"$folder/apt/sources"
	apt-get -o Dir::State="$folder/apt" -o Dir::State::lists="$folder/apt/lists" \
		-o Dir::State::status="$folder/apt/status" -o Dir::Cache="$folder/apt" \
		-o Dir::Cache::archives="$folder/apt/packages" \
		-o Dir::Etc::SourceList="$folder/apt/sources" -o Dir::Etc::SourceParts=/dev/null \
		-o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts=/dev/null \
		-o APT::Architecture="$architecture" -o APT::Architectures="$architecture" \
		-o APT::Sandbox::User=root -o Acquire::Languages=none "$@" >"$folder/apt/log" 2>&1 || {
		tail -n 12 "$folder/apt/log" >&2
		exit 2
	}
}

# Unpacks PACKAGE=VERSION..., from SUITES, of which the last one has them, into $root.
debian_root() {
	suites=$1
	shift
	echo "fetching $*" >&2
	debian_apt "$suites" update
	debian_apt "$suites" install --download-only --yes --no-install-recommends \
		--target-release="${suites##* }" "$@"
	root=$folder/root
	mkdir "$root"
	for package in "$folder"/apt/packages/*.deb; do
		dpkg-deb --extract "$package" "$root"
	done
	libraries=$(echo "$root"/usr/lib/*-linux-gnu)
	loader=$(echo "$libraries"/ld-linux-*.so.?)
}

# Runs a program of $root with its own libraries.
in_root() {
	program=$1
	shift
	QEMU_MODULE_DIR="$libraries/qemu" "$loader" --inhibit-cache --library-path "$libraries" \
		"$root/usr/bin/$program" "$@"
}

# The end of a finding: what is seen is what this script says, or the script fails.
expect() {
	echo "expected by most: $1"
	echo "seen:             $2"
	[ "$2" = "$3" ] || {
		echo "this has changed: it was $3" >&2
		exit 1
	}
}

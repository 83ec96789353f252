#!/bin/sh
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#
# A disk that has a boot sector and nothing else does not boot on QEMU's PC: SeaBIOS says that it
# "could not read the boot disk", though the sector is there and has its signature. The same sector
# boots from a disk of a mebibyte.
#
# Versions: QEMU 11.1.3, SeaBIOS as its package depends on.
. "$(dirname "$0")/debian.sh"
debian_root "trixie trixie-backports" qemu-system-x86=1:11.1.3+ds-1~bpo13+1

# The sector halts the processor (cli, hlt, and again).
boots() {
	printf '\372\364\353\375' >"$folder/disk"
	truncate -s 510 "$folder/disk"
	printf '\125\252' >>"$folder/disk"
	truncate -s "$1" "$folder/disk"
	: >"$folder/log"
	{
		echo '{"execute": "qmp_capabilities"}'
		for _ in 1 2 3 4 5 6 7 8 9 10; do
			sleep 1
			if grep -q -e 'Booting from 0000:7c00' -e 'Boot failed' "$folder/log"; then break; fi
		done
		echo '{"execute": "quit"}'
	} | in_root qemu-system-x86_64 -machine q35 -m 64 -nodefaults -display none \
		-L "$root/usr/share/qemu" -L "$root/usr/share/seabios" \
		-drive "if=none,id=disk,format=raw,file=$folder/disk" -device ide-hd,drive=disk \
		-chardev "file,id=log,path=$folder/log" -device isa-debugcon,iobase=0x402,chardev=log \
		-chardev stdio,id=qmp -object monitor-qmp,id=monitor,chardev=qmp >/dev/null
	grep -o -e 'Booting from 0000:7c00' -e 'Boot failed: .*' "$folder/log" | head -n 1
}
in_root qemu-system-x86_64 --version | head -n 1
mebibyte=$(boots 1048576)
expect "of a mebibyte: Booting from 0000:7c00" "of a mebibyte: $mebibyte" \
	"of a mebibyte: Booting from 0000:7c00"
sector=$(boots 512)
expect "of a sector: Booting from 0000:7c00" "of a sector: $sector" \
	"of a sector: Boot failed: could not read the boot disk"

#!/bin/sh
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#
# A vhost-user device without shared memory cannot work, and QEMU has words for that ("consider using
# … share=on"). It says them only if the back end does not offer CONFIGURE_MEM_SLOTS: if it does, QEMU
# adds no region, tells the back end of rings that lie in no memory, and says nothing.
#
# The back end here is QEMU's own, qemu-storage-daemon; the driver is SeaBIOS's. Version: QEMU 11.1.3.
. "$(dirname "$0")/debian.sh"
debian_root "trixie trixie-backports" qemu-system-x86=1:11.1.3+ds-1~bpo13+1 \
	qemu-system-common=1:11.1.3+ds-1~bpo13+1 qemu-utils=1:11.1.3+ds-1~bpo13+1

in_root qemu-storage-daemon --blockdev null-co,node-name=disk,size=1048576,read-zeroes=on \
	--export "vhost-user-blk,id=blk,node-name=disk,addr.type=unix,addr.path=$folder/blk" \
	--daemonize --pidfile "$folder/pid"
{
	echo '{"execute": "qmp_capabilities"}'
	sleep 5
	echo '{"execute": "quit"}'
} | in_root qemu-system-x86_64 -machine q35 -m 64 -nodefaults -display none \
	-L "$root/usr/share/qemu" -L "$root/usr/share/seabios" \
	-chardev "socket,id=blk,path=$folder/blk" -device vhost-user-blk-pci,chardev=blk \
	-chardev stdio,id=qmp -object monitor-qmp,id=monitor,chardev=qmp >/dev/null 2>"$folder/said"
kill "$(cat "$folder/pid")" 2>/dev/null || true
cat "$folder/said"
seen=$(grep -c 'share=on' "$folder/said" || true)
in_root qemu-system-x86_64 --version | head -n 1
expect "a line that names share=on" "$seen lines that do" "0 lines that do"

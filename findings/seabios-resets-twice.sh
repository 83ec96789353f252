#!/bin/sh
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#
# A PC whose reset is asked for once is reset twice. QEMU's `q35` with SeaBIOS tells of a RESET event
# for the command, and within a second of another one, whose cause is `guest-reset`: the firmware,
# which finds that it does not run from its first start, resets the machine itself. Who counts resets
# by events, to notice a machine that does not come up, counts each one twice. Arm's `virt` has one.
#
# Versions: QEMU 11.1.3, SeaBIOS as its package depends on.
. "$(dirname "$0")/debian.sh"
debian_root "trixie trixie-backports" qemu-system-x86=1:11.1.3+ds-1~bpo13+1

# One reset, and then five seconds in which the firmware does what it does.
{
	echo '{"execute": "qmp_capabilities"}'
	sleep 5
	echo '{"execute": "system_reset"}'
	sleep 5
	echo '{"execute": "quit"}'
} | in_root qemu-system-x86_64 -machine q35 -m 64 -nodefaults -display none \
	-L "$root/usr/share/qemu" -L "$root/usr/share/seabios" \
	-chardev stdio,id=qmp -object monitor-qmp,id=monitor,chardev=qmp >"$folder/events"
seen=$(grep -o '"reason": "[a-z-]*"' "$folder/events" | grep reset | cut -d '"' -f 4 | xargs)
in_root qemu-system-x86_64 --version | head -n 1
expect "one RESET: host-qmp-system-reset" "$seen" "host-qmp-system-reset guest-reset"

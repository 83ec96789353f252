#!/bin/sh
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# The kernel's own random number source must be us, and what it delivers must not look like anything.
set -e
current=$(cat /sys/class/misc/hw_random/rng_current)
case $current in
virtio_rng.*) ;;
*) echo "rng_current is $current"; exit 1 ;;
esac

before=$(cut -d ' ' -f 1 /proc/uptime)
dd if=/dev/hwrng of=/tmp/random bs=4096 count=1 iflag=fullblock 2>/dev/null
took=$(awk -v before="$before" '{ print ($1 - before) * 1000 }' /proc/uptime)
bytes=$(wc -c </tmp/random)
values=$(od -A n -v -t u1 -w1 /tmp/random | sort -u | wc -l)
# That a value is missing among 4,096 random bytes happens once in 36,000 checks; three never.
[ "$bytes" -eq 4096 ] && [ "$values" -ge 254 ] || {
	echo "$bytes bytes with $values different values"
	exit 1
}
echo "rng_current is $current; $bytes bytes from /dev/hwrng in $took ms, $values of 256 byte values seen"

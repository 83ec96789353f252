#!/bin/sh
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# busybox's watchdog sets the timeout, pings, and stops the device when it is told to end.
set -e
[ -e /dev/watchdog0 ] || insmod /lib/modules/*/updates/virtio_wdt.ko
cd /sys/class/watchdog/watchdog0
before="none, or ended well"
# WDIOF_CARDRESET
[ $(($(cat bootstatus) & 32)) -eq 0 ] || before="ended by its watchdog"

watchdog -T 20 -t 100ms /dev/watchdog0
until [ "$(cat timeout)" = 20 ]; do usleep 10000; done
# Without pings there were 17 s left then.
usleep 2500000
left=$(cat timeleft)
killall watchdog
until [ "$(cat state)" = inactive ]; do usleep 10000; done
[ "$(cat identity)" = virtio-watchdog ] && [ "$left" -ge 18 ] || {
	grep . identity timeout timeleft state
	exit 1
}
echo "/dev/watchdog0 was pinged, had $left of 20 s left, and was stopped; the guest before was $before"

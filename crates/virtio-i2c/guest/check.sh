#!/bin/sh
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# The two chips must be found and no others; i2c-tools and the kernel's own drivers must be able to use them.
set -e
fail() {
	echo "$*"
	exit 1
}
adapter=$(basename "$(dirname "$(grep -l i2c_virtio /sys/bus/i2c/devices/i2c-*/name)")")
number=${adapter#i2c-}
devices=/sys/bus/i2c/devices

found=$(i2cdetect -y "$number" | sed 1d | cut -d : -f 2 | tr ' ' '\n' | grep '[0-9a-f]' | xargs)
[ "$found" = "48 50" ] || fail "i2cdetect found '$found'"

# Two bytes behind an address, as one page; then the address and the bytes, as one transaction.
i2ctransfer -y "$number" w3@0x50 0x10 0xca 0xfe
bytes=$(i2ctransfer -y "$number" w1@0x50 0x10 r2)
[ "$bytes" = "0xca 0xfe" ] || fail "i2ctransfer read '$bytes'"

echo 24c02 0x50 >$devices/"$adapter"/new_device
printf 'written by at24' >$devices/"$number"-0050/eeprom
text=$(head -c 15 $devices/"$number"-0050/eeprom)
[ "$text" = "written by at24" ] || fail "at24 read '$text'"

echo lm75 0x48 >$devices/"$adapter"/new_device
temperature=$(cat $devices/"$number"-0048/hwmon/hwmon*/temp1_input)
[ "$temperature" -ge 20000 ] && [ "$temperature" -le 26000 ] || fail "lm75 measured $temperature"

echo "i2cdetect found $found; at24 read '$text'; lm75 measured $temperature m°C"

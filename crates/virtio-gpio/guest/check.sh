#!/bin/sh
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# The simulated lines must have their names, drive each other, and wake who waits for an edge.
set -e
fail() {
	echo "$*"
	exit 1
}
find=$(gpiofind out0) || fail "no line is called out0"
chip=${find% *}
names=$(gpioinfo "$chip" | cut -d '"' -f 2 | sed 1d | xargs)
[ "$names" = "out0 out1 out2 out3 in0 in1 in2 in3 button0 button1 toggle open-drain line12 line13 line14 line15" ] ||
	fail "gpioinfo lists '$names'"

# An output drives its wired input for as long as it is held, and not after.
for value in 1 0 1; do
	gpioset --mode=signal "$chip" 0=$value 1=$((1 - value)) &
	holder=$!
	until gpioinfo "$chip" | grep -q '"out1".*output.*used'; do kill -0 $holder; done
	values=$(gpioget "$chip" 4 5)
	kill $holder
	wait $holder || true
	[ "$values" = "$value $((1 - value))" ] || fail "out0=$value reads as '$values'"
done
[ "$(gpioget "$chip" 4)" = 0 ] || fail "a line that was let go is still driven"

# Low is driven, high is what the resistor makes of it.
[ "$(gpioget "$chip" 11)" = 1 ] || fail "open-drain is not pulled up"

# An edge wakes gpiomon. It says nothing when it is ready, so there are edges until it has seen one.
gpiomon --rising-edge --num-events=3 --format=%o "$chip" 6 >/tmp/edges &
monitor=$!
pulses=0
while kill -0 $monitor 2>/dev/null; do
	gpioset "$chip" 2=1
	pulses=$((pulses + 1))
	[ $pulses -lt 100 ] || fail "gpiomon saw $(wc -l </tmp/edges) of $pulses edges"
done
wait $monitor
edges=$(xargs </tmp/edges)
[ "$edges" = "6 6 6" ] || fail "gpiomon saw '$edges'"

before=$(cut -d ' ' -f 1 /proc/uptime)
timeout 25 gpiomon --num-events=3 "$chip" 10 >/dev/null || fail "the line that toggles does not"
took=$(awk -v before="$before" '{ print ($1 - before) * 1000 }' /proc/uptime)

# A level interrupts for as long as it is active and not masked. No program can ask for that, so a
# driver of the kernel's does where the board has it.
level=
count() {
	awk '$NF == "level" { print $2 }' /proc/interrupts
}
active() {
	until [ "$(count)" -ge $(($1 + 100)) ]; do kill -0 $holder; done
}
quiet() {
	until [ "$before" = "$(count)" ]; do
		before=$(count)
		gpioget "$chip" 4 >/dev/null
	done
}
if [ -e /sys/bus/platform/devices/keys ]; then
	insmod "$(find /lib/modules -name gpio_keys.ko)"
	quiet
	gpioset --mode=signal "$chip" 3=1 &
	holder=$!
	active "$before"
	echo keys >/sys/bus/platform/drivers/gpio-keys/unbind
	[ -z "$(count)" ] || fail "the level has a driver"
	echo keys >/sys/bus/platform/drivers/gpio-keys/bind
	active "$(count)"
	kill $holder
	wait $holder || true
	quiet
	rmmod gpio_keys
	level=", and a level interrupted until it was masked, and again until it ended"
fi

echo "gpioinfo lists 16 names; out0 drives in0; gpiomon saw 3 of $pulses pulses, and 3 edges of toggle in $took ms$level"

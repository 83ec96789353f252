#!/bin/sh
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# The simulated lines must have their names, drive each other, and wake who waits for an edge.
set -e
fail() {
	echo "$*"
	exit 1
}
# Runs a program in the background that uses lines and says when it has them, which is waited for.
hold() {
	rm -f /tmp/said
	"$@" >/tmp/said &
	holder=$!
	until [ -s /tmp/said ]; do kill -0 $holder; done
}
# The shell itself tells of how it ended.
drop() {
	{
		kill $holder
		wait $holder || true
	} 2>/dev/null
}
get() {
	gpioget --numeric --chip "$chip" "$@"
}
find=$(gpioinfo out0) || fail "no line is called out0"
chip=${find%% *}
names=$(gpioinfo --chip "$chip" | cut -d '"' -f 2 | sed 1d | xargs)
[ "$names" = "out0 out1 out2 out3 in0 in1 in2 in3 button0 button1 toggle open-drain line12 line13 line14 line15" ] ||
	fail "gpioinfo lists '$names'"

# An output drives its wired input for as long as it is held, and not after.
for value in 1 0 1; do
	hold gpioset --banner --chip "$chip" 0=$value 1=$((1 - value))
	gpioinfo --chip "$chip" 1 | grep -q 'output consumer="gpioset"$' || fail "out1 is not in use"
	values=$(get 4 5)
	drop
	[ "$values" = "$value $((1 - value))" ] || fail "out0=$value reads as '$values'"
done
[ "$(get 4)" = 0 ] || fail "a line that was let go is still driven"

# Low is driven, high is what the resistor makes of it.
[ "$(get 11)" = 1 ] || fail "open-drain is not pulled up"

# Each edge wakes gpiomon. Its first line says that it is ready.
hold gpiomon --banner --edges rising --format %o --chip "$chip" 6
for pulse in 1 2 3; do
	gpioset --toggle 0 --chip "$chip" 2=1
	until [ "$(wc -l </tmp/said)" -gt $pulse ]; do kill -0 $holder; done
done
drop
edges=$(sed 1d /tmp/said | xargs)
[ "$edges" = "6 6 6" ] || fail "gpiomon saw '$edges'"

before=$(cut -d ' ' -f 1 /proc/uptime)
timeout 25 gpiomon --num-events 3 --chip "$chip" 10 >/dev/null || fail "the line that toggles does not"
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
		get 4 >/dev/null
	done
}
if [ -e /sys/bus/platform/devices/keys ]; then
	[ -e /sys/module/gpio_keys ] || insmod "$(find /lib/modules -name gpio_keys.ko)"
	quiet
	hold gpioset --banner --chip "$chip" 3=1
	active "$before"
	echo keys >/sys/bus/platform/drivers/gpio-keys/unbind
	[ -z "$(count)" ] || fail "the level has a driver"
	echo keys >/sys/bus/platform/drivers/gpio-keys/bind
	active "$(count)"
	drop
	quiet
	rmmod gpio_keys
	level=", and a level interrupted until it was masked, and again until it ended"
fi

echo "gpioinfo lists 16 names; out0 drives in0; gpiomon saw 3 pulses, and 3 edges of toggle in $took ms$level"

#!/bin/sh
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# The clocks must be in their tree at their rates, the sensors measure, the regulator switch, and a
# rate that is set must be everywhere below.
set -e
fail() {
	echo "$*"
	exit 1
}
is() {
	[ "$2" = "$3" ] || fail "$1 is '$2', not '$3'"
}
clocks=/sys/kernel/debug/clk
clock() {
	is "the rate of $1" "$(cat $clocks/$1/clk_rate)" "$2"
	[ ! "$3" ] || is "the parent of $1" "$(cat $clocks/$1/clk_parent)" "$3"
}
sensor() {
	label=$(grep -lx "$1" /sys/class/hwmon/hwmon*/*_label) || fail "no sensor is called $1"
	cat "${label%label}input"
}
within() {
	[ "$2" -ge "$3" ] && [ "$2" -le "$4" ] || fail "$1 is $2, not $3 to $4"
}
# Debian's own kernel has no raw mode and does not count what goes wrong.
case $(uname -r) in
*+deb*) debian=1 ;;
esac
# Says a message, in octal bytes, by the kernel's raw mode, and expects these words.
raw=/sys/kernel/debug/scmi/0/raw/message
say() {
	printf "$1" | dd of=$raw bs=128 2>/dev/null
	is "the answer" "$(dd if=$raw bs=256 count=1 2>/dev/null | hexdump -v -e '1/4 "%x "')" "$2 "
}

clock osc24m 24000000
clock sys-pll 800000000 osc24m
clock bus 200000000 sys-pll
clock gpio 200000000 bus
clock uart-mux 24000000 osc24m
follow=
if [ ! "$debian" ]; then
	# CLOCK_RATE_SET of sys-pll (3) to 400 MHz and back, which takes the pll its time.
	say '\5\120\0\0\0\0\0\0\3\0\0\0\0\204\327\27\0\0\0\0' '5005 0'
	clock gpio 100000000 bus
	say '\5\120\0\0\0\0\0\0\3\0\0\0\0\010\257\57\0\0\0\0' '5005 0'
	clock gpio 200000000 bus
	follow=", whose rates follow sys-pll"
fi

cold=$(sensor outside)
within "the temperature outside" "$cold" -13500 -11500
within "that of the processor" "$(sensor cpu-thermal)" 40000 72000
accel=$(grep -lx accel /sys/bus/iio/devices/*/name) || fail "no accelerometer"
accel=${accel%/name}
gravity=$(cat $accel/in_accel_z_raw)
within "gravity" "$gravity" 9700 9900
is "how often it measures" "$(cat $accel/in_accel_sampling_frequency)" 100.000000

slot=/sys/devices/platform/sd-slot
if [ -e $slot ]; then
	[ -e $slot/driver ] || echo sd-slot >/sys/bus/platform/drivers/reg-userspace-consumer/bind
	# Which Linux itself has set. It booted with 25 MHz.
	clock display-pixel-clock 100000000 sys-pll
	is "the unused supply" "$(sensor vdd-sd)" 0
	echo enabled >$slot/state
	volts=$(sensor vdd-sd)
	within "the supply" "$volts" 1800 3300
	echo disabled >$slot/state
	is "the supply that was switched off" "$(sensor vdd-sd)" 0
	grep -q '^peripherals *on' /sys/kernel/debug/pm_genpd/pm_genpd_summary ||
		fail "the slot's power domain is not on"
	supply="; a supply of $volts mV comes and goes in a power domain that is on"
	# Linux from 7.3 on warns if User-Mode Linux, which takes its devices away as it powers off, has
	# a consumer of what they provided.
	echo sd-slot >$slot/driver/unbind
fi
controller=/sys/bus/amba/drivers/pl061_gpio
if [ -e /sys/bus/amba ]; then
	[ -e $controller ] || insmod "$(find /lib/modules -name gpio-pl061.ko)"
	is "the use of the GPIO controller's clock" "$(cat $clocks/gpio/clk_enable_count)" 1
	echo 9030000.pl061 >$controller/unbind
	is "the clock that nobody uses" "$(cat $clocks/gpio/clk_enable_count)" 0
	echo 9030000.pl061 >$controller/bind
	is "the clock that is used again" "$(cat $clocks/gpio/clk_enable_count)" 1
	supply="$supply; a GPIO controller has its clock, power and reset"
fi
# What goes wrong between kernel and device, and nobody may notice.
if [ ! "$debian" ]; then
	counters=/sys/kernel/debug/scmi/0/transport/counters
	for count in xfers_response_timeout err_msg_unexpected; do
		is "the kernel's $count" "$(cat $counters/$count)" 0
	done
	# Two queues, two interrupts: a processor that was away finds a delayed response together with the
	# response before it, and may take the former first. Linux says so, takes it, and counts the latter.
	early=$(dmesg | grep -c 'valid OoO Delayed Response' || true)
	within "the kernel's err_msg_invalid" "$(cat $counters/err_msg_invalid)" 0 "$early"
fi
echo "$(ls -d $clocks/*/ | wc -l) clocks$follow; hwmon has $cold m°C outside, iio $gravity mm/s² down$supply"

#!/bin/sh
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#
# Runs the program of a package root that has this script's name, with the root's own libraries: of
# the host it uses the kernel alone. Each program's name is a link to this script.
name=${0##*/}
root=${0%/*}/../root
libraries=$root/usr/lib/@TRIPLET@
case $name in
qemu-system-*)
    # By itself it looks beside its program, which to it is the loader.
    export QEMU_MODULE_DIR="$libraries/qemu"
    set -- -L "$root/usr/share/qemu" -L "$root/usr/share/seabios" "$@"
    ;;
rustc)
    set -- --sysroot "$root/usr" "$@"
    ;;
esac
exec "$libraries/@LOADER@" --inhibit-cache --library-path "$libraries" "$root/usr/bin/$name" "$@"

#!/bin/sh
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#
# Debian's package `linux-image-VERSION-ARCH` had the kernel and its modules for decades. That of 7.3
# has neither: it depends on `linux-binary-…`, whose kernel lies beside the modules and not in /boot,
# and on `linux-modules-…`. Who takes a guest's kernel out of the package without installing it finds
# nothing there, and no error.
#
# Version: linux-image-7.3.4+deb13 7.3.4-1~bpo13+1, of Debian 13's backports.
. "$(dirname "$0")/debian.sh"
debian_apt "trixie trixie-backports" update
release="7.3.4+deb13-$architecture"
version="7.3.4-1~bpo13+1"
mkdir "$folder/image" "$folder/binary"
cd "$folder/image"
debian_apt "trixie trixie-backports" download "linux-image-$release=$version"
kernels=$(dpkg-deb --fsys-tarfile ./*.deb | tar -t | grep -c -e vmlinuz -e '\.ko' || true)
expect "a kernel and modules in linux-image" "$kernels of them" "0 of them"
cd "$folder/binary"
debian_apt "trixie trixie-backports" download "linux-binary-$release=$version"
kernel=$(dpkg-deb --fsys-tarfile ./*.deb | tar -t | grep vmlinuz)
expect "./boot/vmlinuz-$release" "$kernel" "./usr/lib/modules/$release/vmlinuz"

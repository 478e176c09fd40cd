#!/bin/sh
# Called by mmdebstrap with the root of the image, before it is packed.
set -eu
root="$1"

echo 'app:x:1000:1000:app:/app:/bin/sh' >>"$root/etc/passwd"
echo 'app:x:1000:' >>"$root/etc/group"
mkdir "$root/app"
chown 1000:1000 "$root/app"

# What mmdebstrap took from this machine, and how it was told to work.
rm -f "$root/etc/apt/apt.conf.d/99mmdebstrap" "$root/etc/dpkg/dpkg.cfg.d/99mmdebstrap"
: >"$root/etc/resolv.conf"
: >"$root/etc/hostname"
printf '127.0.0.1\tlocalhost\n::1\tlocalhost\n' >"$root/etc/hosts"

# Nothing in an image gives rights to who has none.
find "$root" -xdev -type f -perm /6000 -exec chmod a-s {} +

# Old copies, and what is made again where it is missed.
rm -f "$root"/var/lib/dpkg/*-old "$root"/var/cache/debconf/*-old "$root"/var/cache/ldconfig/aux-cache
find "$root/var/log" -type f -delete

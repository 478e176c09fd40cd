#!/bin/sh
# Stands in for mmdebstrap: takes the options that matter here and packs a small tree.
set -eu
here="$(dirname "$0")"
kind=run
for word in "$@"; do
  case "$word" in
    --include=*python3-venv*) kind=build ;;
    --aptopt=/*) cat "${word#--aptopt=}" >>"$here/options" ;;
    --customize-hook=*) customize="${word#--customize-hook=}" ;;
    *.tar) archive="$word" ;;
    *) ;;
  esac
  printf '%s ' "$word" >>"$here/arguments"
done
echo "$kind" >>"$here/calls"
echo "I: beginning with $kind..."
if [ -e "$here/hang" ]; then
  # Far from its parent, as a daemon would be.
  setsid tail -f "$here/hang" &
  echo "I: hanging..."
  exec tail -f "$here/hang"
fi
if [ -e "$here/fail" ]; then
  echo "W: this is only a warning"
  cat "$here/fail" >&2
  exit 25
fi
root="$TMPDIR/root"
mkdir -p "$root/etc/apt/apt.conf.d" "$root/etc/dpkg/dpkg.cfg.d" "$root/usr/bin" "$root/var/lib/dpkg" "$root/var/log"
echo 'root:x:0:0:root:/root:/bin/sh' >"$root/etc/passwd"
echo 'root:x:0:' >"$root/etc/group"
echo "$kind" >"$root/etc/kind"
cat "$here/extra" >>"$root/etc/kind" 2>/dev/null || :
hostname >"$root/etc/hostname"
echo secret >"$root/etc/apt/apt.conf.d/99mmdebstrap"
echo program >"$root/usr/bin/su"
chmod 4755 "$root/usr/bin/su"
printf 'Package: python3.11-minimal\nVersion: 3.11.2-6+deb12u6\n\n' >"$root/var/lib/dpkg/status"
"$customize" "$root"
tar --sort=name --mtime="@$SOURCE_DATE_EPOCH" --numeric-owner -C "$root" -cf "$archive" .

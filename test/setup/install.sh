#!/usr/bin/env bash
# Installs the programs that the tests need and that are missing; says exactly what to do where it may not.
set -euo pipefail
cd "$(dirname "$0")"
PATH="$PATH:/usr/sbin:/sbin"

missing() {
  while read -r package program; do
    case "$package" in '' | '#'*) continue ;; esac
    command -v "$program" >/dev/null || printf '%s ' "$package"
  done <debian-packages.txt
}

packages=$(missing)
[ -z "$packages" ] && exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    as_root=(sudo -n)
  else
    echo "The tests need programs that are not installed. As root: apt-get install --no-install-recommends $packages" >&2
    exit 1
  fi
fi
if ! command -v apt-get >/dev/null; then
  echo "The tests need programs that are not installed, by the names of their Debian packages: $packages" >&2
  exit 1
fi

# A package that brings a service would start it; the tests start their own, on ports of their own.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
  "${as_root[@]}" chmod 755 "$policy"
  trap '"${as_root[@]}" rm -f "$policy"' EXIT
fi

echo "installing: $packages"
install() {
  # shellcheck disable=SC2086 # the list is words
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $packages
}
log=$(mktemp)
if ! { install || { "${as_root[@]}" apt-get update -q && install; }; } >"$log" 2>&1 </dev/null; then
  tail -n 30 "$log" >&2
  echo "apt-get could not install: $packages (whole log: $log)" >&2
  exit 1
fi
rm -f "$log"
packages=$(missing)
if [ -n "$packages" ]; then
  echo "installed, yet the program is not in PATH: $packages" >&2
  exit 1
fi

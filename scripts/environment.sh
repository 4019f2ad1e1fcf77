# shellcheck shell=bash
# What the three scripts share: where things are, how they speak, what they may install.
# Sourced by scripts/run, scripts/services and scripts/test; does nothing by itself.

set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
VAR_DIR=${VAR_DIR:-$ROOT/var}
[[ $VAR_DIR == /* ]] || VAR_DIR=$PWD/$VAR_DIR
export VAR_DIR
export VENV=$ROOT/.venv
PATH=$PATH:/usr/sbin:/sbin

say() { printf '%s\n' "$*" >&2; }

die() {
  say "$(basename "$0"): $*"
  exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

can_install() { [[ $EUID -eq 0 ]] && have apt-get; }

# Prints the header comment of the calling script: its usage.
usage() { sed -n '2,/^$/s/^# \{0,1\}//p' "$0"; }

# port_open PORT: something accepts connections on 127.0.0.1:PORT.
port_open() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# apt_install PACKAGE…: installs Debian packages without letting them start a service.
apt_install() {
  can_install || die "please install $* (as root: apt-get install $*), then start again"
  say "installing $* …"
  local policy=/usr/sbin/policy-rc.d kept log
  log=$(mktemp)
  kept=$(mktemp -d)
  [[ ! -e $policy ]] || mv "$policy" "$kept/"
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
  local failed=0
  apt_get_quietly "$@" >"$log" 2>&1 || failed=1
  rm -f "$policy"
  [[ ! -e $kept/policy-rc.d ]] || mv "$kept/policy-rc.d" "$policy"
  rmdir "$kept"
  if ((failed)); then
    tail -n 20 "$log" >&2
    die "apt-get could not install $*; its output is in $log"
  fi
  rm -f "$log"
}

apt_get_quietly() {
  export DEBIAN_FRONTEND=noninteractive
  apt-get install -y --no-install-recommends "$@" ||
    { apt-get update && apt-get install -y --no-install-recommends "$@"; }
}

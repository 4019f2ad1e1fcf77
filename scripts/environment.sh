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

# find_python: the first Python 3.11 or newer there is; PYTHON=… comes before all.
find_python() {
  local name
  for name in ${PYTHON:-python3 python3.12 python3.11 python3.13 python3.14}; do
    if have "$name" && "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      command -v "$name"
      return
    fi
  done
  die "needs Python 3.11 or newer (python3 --version); PYTHON=/path/to/python3.12 $0 names one"
}

# install_requirements SET: the packages of embedded, full or dev into .venv, unless they are there.
install_requirements() {
  local file=$ROOT/requirements-$1.txt stamp=$VENV/installed-$1 wanted
  [[ $1 != full ]] || file=$ROOT/requirements.txt
  exec 7>"$ROOT/.venv.lock"
  ! have flock || flock 7
  make_venv
  wanted=$(cat "$ROOT"/requirements*.txt | cksum)
  if [[ $(cat "$stamp" 2>/dev/null) != "$wanted" ]]; then
    [[ $1 == embedded ]] || install_mysqlclient_headers
    say "installing $(basename "$file") into .venv (a minute or two the first time) …"
    "$VENV/bin/python" -m pip install --disable-pip-version-check --progress-bar off -r "$file" |
      sed -n 's/^Collecting \([^ ]*\).*/  \1/p' >&2 ||
      die "pip could not install $(basename "$file"); its last lines above say why"
    echo "$wanted" >"$stamp"
  fi
  exec 7>&-
}

make_venv() {
  [[ ! -x $VENV/bin/pip ]] || return 0
  local python
  python=$(find_python)
  say "creating .venv with $("$python" --version) …"
  "$python" -m venv --clear "$VENV" >/dev/null 2>&1 && return
  # Debian keeps venv in a package of its own.
  apt_install python3-venv
  "$python" -m venv --clear "$VENV" || die "$python -m venv $VENV failed"
}

# mysqlclient has no wheel for Linux: it is compiled here.
install_mysqlclient_headers() {
  ! "$VENV/bin/python" -c 'import MySQLdb' 2>/dev/null || return 0
  local missing=()
  have cc || missing+=(build-essential)
  have pkg-config || missing+=(pkg-config)
  pkg-config --exists libmariadb 2>/dev/null || pkg-config --exists mysqlclient 2>/dev/null ||
    missing+=(libmariadb-dev)
  "$VENV/bin/python" - <<'END' || missing+=(python3-dev)
import pathlib, sysconfig
raise SystemExit(not pathlib.Path(sysconfig.get_path("include"), "Python.h").exists())
END
  [[ ${#missing[@]} -eq 0 ]] || apt_install "${missing[@]}"
}

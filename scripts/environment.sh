# shellcheck shell=bash
# What the scripts share: where things are, how they speak, what they may install.
# Sourced by the others in scripts/; does nothing by itself.

set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
VAR_DIR=${VAR_DIR:-$ROOT/var}
[[ $VAR_DIR == /* ]] || VAR_DIR=$PWD/$VAR_DIR
export VAR_DIR
export VENV=$ROOT/.venv
PATH=$PATH:/usr/sbin:/sbin
# Whatever is asked on this machine is asked past a proxy.
no_proxy="127.0.0.1,localhost,::1,[::1]${no_proxy:+,$no_proxy}"
export no_proxy NO_PROXY=$no_proxy

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

# password_in FILE: made once, for its owner alone.
password_in() {
  mkdir -p "$(dirname "$1")"
  [[ -s $1 ]] || (umask 077 && od -An -N24 -tx1 /dev/urandom | tr -d ' \n' >"$1")
  cat "$1"
}

# write_redis_users FILE PASSWORD: the one account that can log in; it may do what the service does.
# A Lua script may call what its caller may, so that INFO, which two of them ask, is named as well.
# `default` is off, so that nobody logs in as it, but has every right: Redis reads its append-only
# file as `default`, and skips each transaction and script in it that `default` may not run.
write_redis_users() {
  (
    umask 077
    printf 'user default off resetpass ~* &* +@all\nuser im on >%s ~* &* %s\n' "$2" \
      '+@all -@admin -@dangerous +info -script +script|load +script|exists' >"$1"
  )
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
  local name=requirements-$1 stamp=$VENV/installed-$1 wanted
  [[ $1 != full ]] || name=requirements
  exec 7>"$ROOT/.venv.lock"
  ! have flock || flock 7
  make_venv
  wanted=$(cat "$ROOT/requirements-build.lock" "$ROOT/$name.lock" | cksum)
  if [[ $(cat "$stamp" 2>/dev/null) != "$wanted" ]]; then
    say "installing $name.lock into .venv (a minute or two the first time) …"
    if [[ $1 == full ]]; then
      install_mysqlclient_headers
      install_locked "$VENV" requirements-build.lock
      install_locked "$VENV" "$name.lock" --no-build-isolation # it would bring unlocked packages
    else
      install_locked "$VENV" "$name.lock"
    fi
    echo "$wanted" >"$stamp"
  fi
  exec 7>&-
}

# install_tools: those of scripts/lock and scripts/audit-packages, apart from the project's packages.
install_tools() {
  TOOLS=$VAR_DIR/tools
  venv_works "$TOOLS" || create_venv "$TOOLS"
  install_locked "$TOOLS" requirements-tools.lock
}

# install_locked VENV LOCK OPTION…: no package whose file does not have the hash in the lock.
install_locked() {
  "$1/bin/python" -m pip install --disable-pip-version-check --progress-bar off \
    --require-hashes "${@:3}" -r "$ROOT/$2" |
    sed -n 's/^Collecting \([^ ]*\).*/  \1/p' >&2 ||
    die "pip could not install $2; the lines above say why"
}

make_venv() {
  ! venv_works "$VENV" || return 0
  [[ ! -e $VENV && ! -L $VENV ]] ||
    say "the .venv there is does not work: its Python is gone or has changed, or it was moved here"
  create_venv "$VENV"
}

# venv_works VENV: its Python runs, finds its packages (a newer one would not), and it is not a copy
# of another place's, whose programs it would run.
venv_works() {
  "$1/bin/python" -c 'import importlib.util, sys
sys.exit(sys.version_info < (3, 11) or importlib.util.find_spec("pip") is None)' 2>/dev/null &&
    grep -qF -e "$1/bin/" -e "$(cd "$1" && pwd -P)/bin/" "$1/bin/pip" 2>/dev/null
}

create_venv() {
  local python
  python=$(find_python)
  [[ $1 != *:* ]] || die "Python makes no environment in a path with a colon: $1; move the checkout"
  say "creating $(basename "$1") with $("$python" --version) …"
  "$python" -m venv --clear "$1" >/dev/null 2>&1 && return
  # Debian keeps venv in a package of its own.
  apt_install python3-venv
  "$python" -m venv --clear "$1" || die "$python -m venv $1 failed; mend the error above, then start again"
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

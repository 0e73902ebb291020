# shellcheck shell=bash
# What every script here shares: where things are, how to speak, how to clean up.

set -euo pipefail

HOLDFAST_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
HOLDFAST_BUILD=$HOLDFAST_ROOT/build
JOBS=$(nproc)
export JOBS
export LC_ALL=C.UTF-8

# The PostgreSQL to build for and to run: Debian 12's, or the one that PG_CONFIG names.
PG_MAJOR=15
PG_CONFIG=${PG_CONFIG:-/usr/lib/postgresql/$PG_MAJOR/bin/pg_config}

say() { printf '%s\n' "$*" >&2; }

die() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

# Commands to run when the script ends, the latest first, however it ends.
cleanups=()

# at_exit COMMAND...: remembers one command to run at the end.
at_exit() { cleanups=("$(printf '%q ' "$@")" "${cleanups[@]}"); }

run_cleanups() {
  local status=$? command
  trap '' EXIT INT TERM HUP
  for command in "${cleanups[@]}"; do eval "$command" || true; done
  exit "$status"
}

catch_signals() {
  trap run_cleanups EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  trap 'exit 129' HUP
}
catch_signals

# run_until_done COMMAND...: runs a program in a process group of its own and waits for it, so that a signal to
# this script ends the whole group at once. (In the foreground bash would first wait for the program.)
running_group=
run_until_done() {
  local status=0
  setsid "$@" </dev/null &
  running_group=$!
  wait "$running_group" || status=$?
  running_group=
  return "$status"
}

end_running_group() {
  [[ -n $running_group ]] || return 0
  kill -TERM -- "-$running_group" 2>/dev/null || true
  wait "$running_group" 2>/dev/null || true
}
at_exit end_running_group

# with_lock NAME COMMAND...: one script at a time in this tree does what NAME stands for.
with_lock() {
  local name=$1 status=0 lock
  shift
  mkdir -p "$HOLDFAST_BUILD"
  exec {lock}>"$HOLDFAST_BUILD/$name.lock"
  if ! flock --nonblock "$lock"; then
    say "waiting: another script has the $name lock of this tree"
    flock "$lock"
  fi
  "$@" || status=$?
  exec {lock}>&-
  return "$status"
}

# new_scratch_dir: sets SCRATCH to a fresh folder that others may pass through; it goes away at the end.
new_scratch_dir() {
  SCRATCH=$(mktemp -d "${TMPDIR:-/tmp}/holdfast.XXXXXX")
  chmod 0711 "$SCRATCH"
  at_exit rm -rf "$SCRATCH"
}

# sources [PATTERN...]: the project's own files, one a line, those not yet committed included.
sources() {
  git -C "$HOLDFAST_ROOT" -c safe.directory='*' ls-files --cached --others --exclude-standard -- "$@" |
    sort -u | while IFS= read -r file; do
    if [[ -f $HOLDFAST_ROOT/$file ]]; then printf '%s\n' "$file"; fi
  done
}

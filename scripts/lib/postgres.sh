# shellcheck shell=bash
# A private PostgreSQL: its own copy of the installation, its own data folder and socket, gone at the end.

# Runs a program as the user who may run PostgreSQL, which refuses to run as root.
server_user() {
  if [[ $EUID -ne 0 ]]; then
    id -un
  elif id postgres >/dev/null 2>&1; then
    printf 'postgres\n'
  else
    printf 'nobody\n'
  fi
}

as_server() {
  local user
  user=$(server_user)
  if [[ $EUID -ne 0 ]]; then
    "$@"
  else
    setpriv --reuid="$user" --regid="$(id -g "$user")" --init-groups --reset-env "$@"
  fi
}

# stage_postgres DIR: mirrors the PostgreSQL installation below DIR, so that an extension can be installed there
# and nowhere else. PostgreSQL looks for its libraries and its share folder relative to its own program file:
# programs are copied (a symbolic link would lead back to the installation), all else is symbolic links.
# Sets STAGE (what `make install` takes as DESTDIR) and STAGE_BIN (the staged programs).
stage_postgres() {
  local bindir pkglibdir sharedir folder
  bindir=$(realpath "$("$PG_CONFIG" --bindir)")
  pkglibdir=$(realpath "$("$PG_CONFIG" --pkglibdir)")
  sharedir=$(realpath "$("$PG_CONFIG" --sharedir)")
  STAGE=$1
  STAGE_BIN=$STAGE$bindir
  mkdir -p "$STAGE_BIN"
  cp -L "$bindir"/* "$STAGE_BIN/"
  for folder in "$pkglibdir" "$sharedir"; do
    mkdir -p "$STAGE$folder"
    cp -rs "$folder/." "$STAGE$folder/"
  done
  # What the machine has of this extension, from an earlier `make install`, is not what is to be tried.
  find "$STAGE" -depth -name 'holdfast*' -exec rm -rf {} +
  chmod -R go+rX "$STAGE"
  export STAGE STAGE_BIN
}

# start_postgres DIR [SETTING...]: a new cluster in DIR/data with its socket in DIR/socket and no TCP port; waits
# until it answers. Sets PGHOST, PGPORT, PGUSER, PGDATABASE for every client; stops at the end of the script.
start_postgres() {
  local dir=$1 setting
  shift
  mkdir -p "$dir/data" "$dir/socket"
  chmod 0700 "$dir/data" "$dir/socket"
  if [[ $EUID -eq 0 ]]; then chown "$(server_user):" "$dir" "$dir/data" "$dir/socket"; fi
  # Socket names are at most 107 bytes long.
  [[ ${#dir} -le 80 ]] || die "the folder $dir has too long a name for a socket; set TMPDIR to a shorter one"
  (
    cd /
    as_server "$STAGE_BIN/initdb" --pgdata="$dir/data" --username=postgres --auth=trust \
      --encoding=UTF8 --locale=C.UTF-8 --no-sync >"$dir/initdb.log" 2>&1
  ) || die "initdb failed: $(tail -5 "$dir/initdb.log")"
  {
    printf "listen_addresses = ''\n"
    printf "unix_socket_directories = '%s'\n" "$dir/socket"
    printf "port = 5432\nmax_connections = 200\n"
    for setting in "$@"; do printf '%s\n' "$setting"; done
  } >>"$dir/data/postgresql.conf"
  at_exit stop_postgres "$dir"
  (
    cd /
    as_server "$STAGE_BIN/pg_ctl" --pgdata="$dir/data" --log="$dir/server.log" --wait --timeout=60 --silent start
  ) || die "PostgreSQL did not start: $(tail -20 "$dir/server.log")"
  export PGHOST=$dir/socket PGPORT=5432 PGUSER=postgres PGDATABASE=postgres
}

# stop_postgres DIR: ends the server of that data folder (pg_ctl takes its pid from there) and waits for it.
stop_postgres() {
  [[ -f $1/data/postmaster.pid ]] || return 0
  (
    cd /
    as_server "$STAGE_BIN/pg_ctl" --pgdata="$1/data" --mode=fast --wait --timeout=60 --silent stop
  )
}

# sql [PSQL_OPTION...]: psql from the staged programs, plain values, first error ends it.
sql() { "$STAGE_BIN/psql" -X -q -A -t -v ON_ERROR_STOP=1 "$@"; }

# await WHAT COMMAND...: until the command prints t, as a query does; gives up after a minute. For what a server does by
# itself and tells nobody.
await() {
  local what=$1 deadline=$((SECONDS + 60))
  shift
  until [[ $("$@" 2>/dev/null || true) == t ]]; do
    [[ $SECONDS -lt $deadline ]] || { tail -30 "$SCRATCH/pg/server.log" >&2 && die "not in 60 s: $what"; }
    sleep 0.05
  done
  printf 'ok: %s\n' "$what"
}

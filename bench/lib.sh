# shellcheck shell=bash
# Measures with pgbench what is compared, in turn. For the scripts here: needs common.sh and postgres.sh, and sets
# seconds and repeats, which a script's options change.

seconds=10 repeats=5

# What can be measured: define NAME DATABASE CLIENTS ENTRIES_PER_TRANSACTION PGBENCH_OPTION...
declare -A databases clients factors options
define() {
  databases[$1]=$2 clients[$1]=$3 factors[$1]=$4
  options[$1]=$(printf '%q ' "${@:5}")
}

# before_each: a script that has to put things back before each measurement says how.
before_each() { :; }

# once NAME SECONDS: entries a second.
once() {
  local name=$1 log=$SCRATCH/pgbench.log
  before_each
  eval "set -- $2 ${options[$1]}"
  "$STAGE_BIN/pgbench" -n -M prepared -c "${clients[$name]}" -j 2 -T "$1" "${@:2}" "${databases[$name]}" >"$log" 2>&1 ||
    { cat "$log" >&2 && die "the measurement of $name failed"; }
  if ! grep -q '^number of failed transactions: 0 ' "$log"; then cat "$log" >&2 && die "$name: transactions failed"; fi
  awk -v factor="${factors[$name]}" '/^tps = .*without initial/ { printf "%.1f\n", $3 * factor }' "$log"
}

# measure NAME...: each in turn, `repeats` times; one short run of each before.
declare -A taken
measure() {
  local name round
  for name in "$@"; do
    taken[$name]=
    once "$name" 1 >/dev/null
  done
  for ((round = 1; round <= repeats; round++)); do
    for name in "$@"; do
      taken[$name]+="$(once "$name" "$seconds") "
      say "  $name: ${taken[$name]}"
    done
  done
}

median() {
  tr ' ' '\n' <<<"${taken[$1]}" | sed '/^$/d' | sort -n |
    awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

# row WORK OURS BASELINE MUST: one line of the table.
table=()
row() {
  local ours baseline
  ours=$(median "$2") baseline=$(median "$3")
  table+=("$(awk -v work="$1" -v a="$ours" -v b="$baseline" -v must="$4" 'BEGIN {
    printf "| %s | %d/s | %d/s | %.2f | %s |", work, a, b, a / b, must == "" ? "" : (a / b >= must ? must ": yes" : must ": **no**") }')")
}

# print_machine: where and how it was measured.
print_machine() {
  printf '%s, %s cores, PostgreSQL %s, shared_buffers 512MB, durable commits; %s s, median of %s, interleaved.\n\n' \
    "$(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -1)" "$(nproc)" \
    "$(sql -d postgres -c 'SHOW server_version')" "$seconds" "$repeats"
}

# print_table: where it was measured, and the rows.
print_table() {
  print_machine
  printf '| work | ours | baseline | ratio | must |\n|---|---|---|---|---|\n'
  printf '%s\n' "${table[@]}"
}

# start_measured_server: builds, and starts a private PostgreSQL with durable commits.
start_measured_server() {
  new_scratch_dir
  stage_postgres "$SCRATCH/stage"
  with_lock build build_extension "$STAGE" >"$SCRATCH/build.log" 2>&1 || { tail -20 "$SCRATCH/build.log" >&2 && die 'the build failed'; }
  chmod -R go+rX "$STAGE"
  start_postgres "$SCRATCH/pg" "shared_preload_libraries = 'holdfast'" 'shared_buffers = 512MB' 'fsync = on' \
    'synchronous_commit = on' 'min_wal_size = 4GB' 'max_wal_size = 16GB' 'checkpoint_timeout = 1h' 'wal_compression = off'
  fill_log
}

# fill_log: a server that has run for a while writes over old files of its log. A fresh one makes each anew, 16 MB of
# zeros, while everybody who commits waits; so it is given some to write over.
fill_log() {
  sql -d postgres -c "DO \$\$ BEGIN FOR i IN 1..128 LOOP
      PERFORM pg_logical_emit_message(false, 'bench', ''), pg_switch_wal();
    END LOOP; END \$\$" -c CHECKPOINT
}

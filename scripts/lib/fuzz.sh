# shellcheck shell=bash
# The fuzzers of tests/fuzz, for as long as wanted. Needs common.sh and packages.sh.

fuzz_packages() {
  build_packages
  cat <<EOF
clang clang++
EOF
}

FUZZ_BUILD=$HOLDFAST_BUILD/fuzz

# build_fuzzers: with clang's libFuzzer, AddressSanitizer and UBSan.
build_fuzzers() {
  cmake -S "$HOLDFAST_ROOT" -B "$FUZZ_BUILD" -G Ninja -DCMAKE_CXX_COMPILER=clang++ -DHOLDFAST_FUZZ=ON \
    -DHOLDFAST_SANITIZE=address &&
    cmake --build "$FUZZ_BUILD" -j"$JOBS" --target fuzzers &&
    "$FUZZ_BUILD/tests/fuzz/fuzz_seeds" "$FUZZ_BUILD/seeds"
}

fuzz_subjects() { (cd "$HOLDFAST_ROOT/tests/fuzz" && printf '%s\n' *_fuzz.cpp | sed 's/_fuzz\.cpp$//'); }

# fuzz_one SUBJECT SECONDS: what is new to the fuzzer stays in build/fuzz/grown/SUBJECT for the next time; an input that
# breaks something is kept in build/fuzz/found, and its name told. Prints how often it ran.
fuzz_one() {
  local subject=$1 grown=$FUZZ_BUILD/grown/$1 log=$FUZZ_BUILD/$1.log folder folders=()
  mkdir -p "$grown" "$FUZZ_BUILD/found"
  for folder in "$HOLDFAST_ROOT/tests/fuzz/corpus/$subject" "$FUZZ_BUILD/seeds/$subject"; do
    if [[ -d $folder ]]; then folders+=("$folder"); fi
  done
  if ! "$FUZZ_BUILD/tests/fuzz/${subject}_fuzz" -max_total_time="$2" -max_len=4096 -timeout=10 -rss_limit_mb=1024 \
    -use_value_profile=1 -print_final_stats=1 -artifact_prefix="$FUZZ_BUILD/found/$subject-" "$grown" "${folders[@]}" >"$log" 2>&1; then
    grep -E 'does not hold|ERROR|SUMMARY|runtime error|Test unit written' "$log" >&2 || tail -20 "$log" >&2
    return 1
  fi
  awk -v subject="$subject" '$1 == "stat::number_of_executed_units:" { print "fuzz " subject ": " $2 " runs" }' "$log"
}

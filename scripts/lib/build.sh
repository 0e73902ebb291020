# shellcheck shell=bash
# Builds the extension and the gateway. Callers hold the build lock.

# build_extension STAGE: builds with warnings as errors and installs below STAGE.
build_extension() {
  make -C "$HOLDFAST_ROOT" --no-print-directory -j"$JOBS" PG_CONFIG="$PG_CONFIG" all &&
    make -C "$HOLDFAST_ROOT" --no-print-directory PG_CONFIG="$PG_CONFIG" DESTDIR="$1" install
}

# build_sanitized KIND TARGET...: with the sanitizers address or thread, in build/KIND.
build_sanitized() {
  cmake -S "$HOLDFAST_ROOT" -B "$HOLDFAST_BUILD/$1" -G Ninja -DHOLDFAST_SANITIZE="$1" &&
    cmake --build "$HOLDFAST_BUILD/$1" -j"$JOBS" --target "${@:2}"
}

# build_gateway [TARGET...]: all targets, or those named. The program is then in $GATEWAY.
export GATEWAY=$HOLDFAST_BUILD/gateway/holdfast-gateway
build_gateway() {
  cmake -S "$HOLDFAST_ROOT" -B "$HOLDFAST_BUILD/gateway" -G Ninja &&
    cmake --build "$HOLDFAST_BUILD/gateway" -j"$JOBS" ${1:+--target "$@"}
}

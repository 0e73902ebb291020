# shellcheck shell=bash
# Installs what is missing, and only that: Debian packages by apt-get, npm packages by npm ci.

# One line a package: its name, then the program or file that shows it is there. A program is looked for in PATH.
build_packages() {
  cat <<EOF
g++ g++
make make
cmake cmake
ninja-build ninja
postgresql-$PG_MAJOR /usr/lib/postgresql/$PG_MAJOR/bin/postgres
postgresql-server-dev-$PG_MAJOR /usr/include/postgresql/$PG_MAJOR/server/postgres.h
libpq-dev /usr/include/postgresql/libpq-fe.h
libcurl4-openssl-dev /usr/include/*/curl/curl.h
libssl-dev /usr/include/openssl/ssl.h
libcjose-dev /usr/include/cjose/cjose.h
libcpp-httplib-dev /usr/include/httplib.h
nlohmann-json3-dev /usr/include/nlohmann/json.hpp
libgtest-dev /usr/include/gtest/gtest.h
ca-certificates /etc/ssl/certs/ca-certificates.crt
EOF
}

demo_packages() {
  build_packages
  cat <<EOF
curl curl
jq jq
EOF
}

check_packages() {
  build_packages
  cat <<EOF
git git
jq jq
openssl openssl
perl perl
shellcheck shellcheck
clang-format clang-format
clang-tidy clang-tidy
nodejs node
npm npm
EOF
}

have() {
  case $1 in
    /*) compgen -G "$1" >/dev/null ;;
    *) command -v "$1" >/dev/null ;;
  esac
}

# missing_packages: reads a list as above, prints the names of the packages that are not there.
missing_packages() {
  local package probe
  while read -r package probe; do
    # Another PostgreSQL than Debian's was asked for: it is the caller's to install.
    if [[ $package == postgresql-* && $PG_CONFIG != /usr/lib/postgresql/$PG_MAJOR/* ]]; then continue; fi
    if ! have "$probe"; then printf '%s\n' "$package"; fi
  done
}

as_root() {
  if [[ $EUID -eq 0 ]]; then "$@"; else sudo "$@"; fi
}

# ensure_packages LIST_FUNCTION: installs the packages of the list that are missing.
ensure_packages() {
  local missing
  mapfile -t missing < <("$1" | missing_packages)
  [[ ${#missing[@]} -gt 0 ]] || return 0
  if ! command -v apt-get >/dev/null; then
    die "this machine has no apt-get; please install what these Debian packages hold: ${missing[*]}"
  fi
  if [[ $EUID -ne 0 ]] && ! command -v sudo >/dev/null; then
    die "not root and no sudo; please run as root: apt-get install --no-install-recommends ${missing[*]}"
  fi
  say "Installing Debian packages: ${missing[*]}"
  as_root apt-get update -qq
  if [[ " ${missing[*]} " == *" postgresql-$PG_MAJOR "* ]]; then
    install_debs postgresql-common
    with_no_default_cluster install_debs "${missing[@]}"
  else
    install_debs "${missing[@]}"
  fi
}

# install_debs PACKAGE...: what apt-get and dpkg say goes to build/packages.log.
install_debs() {
  mkdir -p "$HOLDFAST_BUILD"
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    -o Dpkg::Use-Pty=0 "$@" >>"$HOLDFAST_BUILD/packages.log" 2>&1 ||
    die "apt-get could not install $*: $(tail -5 "$HOLDFAST_BUILD/packages.log")"
}

# Debian creates and starts a cluster when PostgreSQL is first installed. A drop-in, there only while we install,
# prevents it: the machine keeps its own choice for later.
with_no_default_cluster() {
  local folder=/etc/postgresql-common/createcluster.d status=0
  local drop_in=$folder/holdfast-install.conf
  at_exit as_root rm -f "$drop_in"
  as_root mkdir -p "$folder"
  printf 'create_main_cluster = false\n' | as_root tee "$drop_in" >/dev/null
  "$@" || status=$?
  as_root rm -f "$drop_in"
  as_root rmdir "$folder" 2>/dev/null || true
  return "$status"
}

# ensure_npm FOLDER: the packages of FOLDER/package-lock.json, in FOLDER/node_modules.
ensure_npm() {
  local folder=$1 lock=$1/package-lock.json done_mark=$1/node_modules/.installed-lock.json
  if cmp -s "$lock" "$done_mark"; then return 0; fi
  say "Installing npm packages: $(jq -r '[.packages[""] | .dependencies, .devDependencies | select(.)
    | to_entries[] | "\(.key) \(.value)"] | join(", ")' "$lock")" \
    "(with what they need: $(jq '.packages | length - 1' "$lock") packages)"
  (cd "$folder" && npm ci --no-audit --no-fund --loglevel=error >&2)
  cp "$lock" "$done_mark"
}

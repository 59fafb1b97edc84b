#!/usr/bin/env bash
# Runs all of CI: installs what it needs where it may, says what to install where it may not.
# Usage: ./test.sh        everything, as .ci/run does
#        ./test.sh LONG   the same, with the long forms (a million frames, a million messages)
set -euo pipefail
cd "$(dirname "$0")"

step() { printf '\n== %s (after %s s)\n' "$*" "$SECONDS"; }
fail() { printf '%s\n' "$*" >&2; exit 1; }

# Installs Debian packages when that is possible here, and otherwise names the command.
need() {
  local program=$1 packages=$2
  command -v "$program" >/dev/null 2>&1 && return
  local as_root=()
  if [ "$(id -u)" != 0 ]; then
    sudo -n true 2>/dev/null && as_root=(sudo) || fail "\`$program\` is missing. Install it: sudo apt-get install $packages"
  fi
  command -v apt-get >/dev/null 2>&1 || fail "\`$program\` is missing. Install the package that has it (on Debian: $packages)."
  step "installing $packages"
  "${as_root[@]}" apt-get update -qq
  # shellcheck disable=SC2086 # a list of packages
  DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends $packages
}

# What hangs is an error, said in time. The bound is on each program that cargo starts: compiling has none, for beside other work it
# takes as long as it takes.
bounded() {
  local minutes=$1; shift
  local host; host=$(rustc -vV | sed -n 's/^host: //p' | tr 'a-z-' 'A-Z_')
  env "CARGO_TARGET_${host}_RUNNER=timeout --verbose --kill-after=10 ${minutes}m" "$@"
}

# A build that begins with nothing gains nothing by what the next one could use again, and pays an eighth of its time for it.
[ -z "${CI:-}" ] || export CARGO_INCREMENTAL=0

command -v cargo >/dev/null 2>&1 || fail "Rust is missing. Install it from https://rustup.rs"
need cc "gcc libc6-dev"
need curl curl
need timeout coreutils
# The journal's encryption is tested with the system's OpenSSL.
need pkg-config pkg-config
pkg-config --exists libcrypto || need libssl-dev libssl-dev
# The page is tested in a real browser; the fonts are for its letters and emoji.
need chromium "chromium fonts-dejavu-core fonts-noto-color-emoji"
messages=20000 rounds=200 cuts=60 aborts=30 minutes=20
if [ "${1:-}" = LONG ]; then export EVENKEEL_LONG=1 messages=1000000 rounds=10000 cuts=2000 aborts=300 minutes=600; fi

# All but `sqlcipher`, which replaces the SQLite that everybody else has.
features=evenkeel/page,evenkeel/metrics,evenkeel/conformance,evenkeel-guard/metrics,evenkeel-guard/axum,evenkeel-signal/standin

step "format"
cargo fmt --all --check

step "lints"
cargo clippy --workspace --all-targets --features "$features" -- -D warnings

step "each feature alone"
cargo clippy -p evenkeel --no-default-features -- -D warnings
cargo clippy -p evenkeel --no-default-features --features http -- -D warnings
cargo clippy -p evenkeel --no-default-features --features page -- -D warnings
cargo clippy -p evenkeel --no-default-features --features sqlite -- -D warnings
cargo clippy -p evenkeel --no-default-features --features conformance -- -D warnings
cargo clippy -p evenkeel-guard --no-default-features --all-targets -- -D warnings
cargo clippy -p evenkeel-signal --no-default-features -- -D warnings
cargo clippy -p evenkeel-signal --no-default-features --features standin -- -D warnings

# First all of it, so that what does not compile is known before the tests begin.
step "compiling the tests"
cargo test --workspace --features "$features" --all-targets --no-run
cargo test -p evenkeel --features sqlcipher --test journal --test serve --no-run
cargo test -p evenkeel-guard --no-default-features --no-run
cargo build --release --workspace
# They compile all dependencies once more, into a folder of their own, while they run.
cargo test --workspace --features "$features" --test ui

step "tests"
bounded "$minutes" cargo test --workspace --features "$features" --all-targets

step "the journal, encrypted"
bounded "$minutes" cargo test -p evenkeel --features sqlcipher --test journal
bounded "$minutes" cargo test -p evenkeel --features sqlcipher --test serve -- refused

step "the guard among other people's crates"
evenkeel-guard/field/run.sh ci

step "the guard in other people's programs"
evenkeel-guard/programs/run.sh --ci

step "the guard without hooks"
bounded "$minutes" cargo test -p evenkeel-guard --no-default-features

step "examples in the documentation"
bounded "$minutes" cargo test --workspace --features "$features" --doc

step "documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --workspace --features "$features" --no-deps

step "the demo, as the README starts it"
cargo build --release
scratch=$(mktemp -d)
coproc DEMO { exec cargo run --release -- demo --listen 127.0.0.1:0 --no-open 2>"$scratch/log"; }
demo=$DEMO_PID
trap 'kill "$demo" ${kills:-} ${others:-} 2>/dev/null || true; rm -rf "$scratch"' EXIT
IFS= read -r -t 60 url <&"${DEMO[0]}" || fail "the demo printed no address: $(cat "$scratch/log")"
curl --silent --show-error --fail --output "$scratch/page" "$url" || fail "the page at $url is not there"
grep -q '<title>' "$scratch/page" || fail "what is at $url is not the page"
echo "the page is at $url"
kill -TERM "$demo"
wait "$demo" || fail "the demo did not end well: $(cat "$scratch/log")"

# As the build of the workspace left it: alone it has fewer features, and would be compiled once more with half of what it uses.
bench() { timeout --verbose --kill-after=10 "${minutes}m" "${CARGO_TARGET_DIR:-target}/release/evenkeel-bench" "$@"; }

step "the benchmark's short form"
bench signal ping --messages "$messages" --repeats 1
bench signal order --only evenkeel --messages "$messages" --repeats 1
bench signal nothing-freezes --short
bench router
bench heart --short

step "kill -9, and the checker that looks for what is lost"
bench planted
# All of them mostly wait, so they run side by side.
bench kills --rounds "$rounds" >"$scratch/kills" 2>&1 &
kills=$!
{ bench kills --replayed --rounds 40 && bench kills --handle --rounds 20 && bench kills --abort --rounds "$aborts"; } >"$scratch/others" 2>&1 &
others=$!

step "power cuts, full disks and poison, over the same bot"
bench kills --power --rounds "$cuts"
wait "$kills" || fail "$(cat "$scratch/kills")"
cat "$scratch/kills"
wait "$others" || fail "$(cat "$scratch/others")"
cat "$scratch/others"
bench kills --full --rounds 10
if bench kills --hasty --rounds 20; then fail "the loop does not see a cursor that is kept before its events"; fi
if bench kills --nameless --rounds 20; then fail "the loop does not see what is said twice without an id"; fi

step "the network's deadlines while everything else stands still"
bench ports deadline
for blind in --lie "--mistake no-sync"; do
  # shellcheck disable=SC2086 # an option with its value
  if bench kills --power --rounds 10 $blind; then fail "the loop does not see that syncs are missing: $blind"; fi
done

step "all is well"

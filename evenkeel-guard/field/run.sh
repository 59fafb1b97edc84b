#!/usr/bin/env bash
# Builds the field program in each profile that the guard's README names, and runs it.
# Usage: ./run.sh [debug|release|lines|lto|stripped|all]   the long form: every row, ten million polls, 200 suites
#        ./run.sh ci                                       release with line tables: every row in three ways, a short run of the harmless ones
# FIELD_POLLS and FIELD_RUNS say how many polls and suites; FIELD_CLEAN=1 removes each profile's build once it has run.
set -euo pipefail
cd "$(dirname "$0")"

step() { printf '\n== %s\n' "$*"; }
fail() { printf '%s\n' "$*" >&2; exit 1; }

profile=${1:-ci}
target=${CARGO_TARGET_DIR:-$PWD/target}
polls=${FIELD_POLLS:-10000000}
runs=${FIELD_RUNS:-200}

# What hangs is an error, said in time. A session of its own has its own share of the processors: the guard's reporter has the
# lowest priority, and would wait for whatever else the machine does.
bounded() { local minutes=$1; shift; timeout --verbose --kill-after=10 "${minutes}m" setsid --wait "$@"; }

# Builds a profile; its program is then at $field, what its reports can show of lines is in $lines, and $debug says where the rest is.
build() {
  local began=$SECONDS folder=$1
  lines=exact debug=()
  step "building: $1"
  case $1 in
    debug) cargo build --locked ;;
    release) cargo build --locked --profile release; lines=names ;;
    lines | lto) cargo build --locked --profile "$1" "${@:2}" ;;
    # The same code, without what is in the file of its own.
    stripped) cargo build --locked --profile lines; folder=lines lines=labels ;;
    *) fail "\`$1\` is none of debug, release, lines, lto, stripped, all, ci" ;;
  esac
  field=$target/$folder/field
  if [ "$1" = stripped ]; then
    objcopy --only-keep-debug "$field" "$field.debug"
    objcopy --strip-all "$field" "$field.stripped"
    debug=(--debug "$field.debug")
    field=$field.stripped
    # The command that finds the lines of addresses.
    cargo build --locked --release --manifest-path ../../Cargo.toml -p evenkeel-cli
    export EVENKEEL=${CARGO_TARGET_DIR:-$PWD/../../target}/release/evenkeel
  fi
  echo "built in $((SECONDS - began)) s, $(du -h "$field" | cut -f1)"
}

long() {
  build "$1"
  step "rows: $1"
  bounded 60 "$field" rows --lines "$lines" "${debug[@]}"
  step "samples: $1"
  bounded 60 "$field" samples
  step "harmless rows: $1"
  local slice
  for slice in $(seq 10); do bounded 25 "$field" harmless --polls "$polls" --slice "$slice/10"; done
  step "suites: $1"
  bounded 120 "$field" suite --runs "$runs"
  if [ "${FIELD_CLEAN:-0}" = 1 ]; then rm -rf "${target:?}/$1"; fi
}

short() {
  build "$1" --no-default-features
  step "rows: $1"
  local mode running=()
  # They mostly wait.
  for mode in workers watch strict; do
    bounded 30 "$field" rows --lines "$lines" --mode "$mode" &
    running+=($!)
  done
  for mode in "${running[@]}"; do wait "$mode"; done
  step "harmless rows: $1"
  bounded 10 "$field" harmless --polls "${FIELD_POLLS:-100000}"
}

case $profile in
  ci) short lines ;;
  all) for each in debug release lines lto stripped; do long "$each"; done ;;
  *) long "$profile" ;;
esac
step "all is well"

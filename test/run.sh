#!/usr/bin/env bash
# The test command: installs what is missing, builds, checks types and style, runs every suite, and ends with one plain
# line `tests: N passed, N failed, N skipped` over all of it, after a line for each test that failed. With arguments: one vitest run with these arguments.
set -uo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/node_modules/.bin:$PATH:/usr/sbin:/sbin"

tally=$(mktemp)
failures=$(mktemp)
trap 'rm -f "$tally" "$failures"' EXIT
export TUNL_TEST_TALLY="$tally" TUNL_TEST_FAILURES="$failures"

# One step that is not a vitest run counts as one test.
step() {
  local name=$1
  shift
  printf '\n── %s\n' "$name"
  if "$@"; then echo '1 0 0' >>"$tally"; else echo '0 1 0' >>"$tally"; echo "failed: $name" >>"$failures"; return 1; fi
}

# A run that ends badly without a count of its own (a crash, an error outside of any test) counts as one failure.
suite() {
  local name=$1 before after
  shift
  printf '\n── %s\n' "$name"
  before=$(awk '{n += $2} END {print n + 0}' "$tally")
  if ! vitest run "$@"; then
    after=$(awk '{n += $2} END {print n + 0}' "$tally")
    if [ "$before" -eq "$after" ]; then echo '0 1 0' >>"$tally"; echo "failed: $name" >>"$failures"; fi
  fi
}

if step 'Debian packages' bash test/setup/install.sh &&
  step 'npm packages' bash -c '[ -x node_modules/.bin/vitest ] || npm ci' &&
  step 'programs behind tunnels' bash test/setup/programs.sh &&
  step 'build' npm run --silent build; then
  if [ $# -gt 0 ]; then
    suite "$*" "$@"
  else
    step 'types' tsc -p tsconfig.json
    step 'style' biome check --error-on-warnings .
    suite 'unit' --project unit
    suite 'end to end' --project e2e
    suite 'behind gates' --project 'behind-*'
    # The built command and a part of the unit tests under the oldest Node that package.json allows.
    PATH="$PWD/.cache/oldest-node/bin:$PATH" suite "Node $(.cache/oldest-node/bin/node --version)" \
      --project unit --project e2e test/unit/protocol test/unit/net test/unit/bytes test/unit/mux test/e2e/embedded.test.ts
    suite 'faults' --config vitest.chaos.config.ts --passWithNoTests
    # The slow one: a clone of HEAD, installed from nothing.
    if [ -n "${CI:-}" ]; then suite 'fresh clone' --project fresh; fi
  fi
fi

printf '\n'
# Long logs are read from their end: all that failed stands there once more.
cat "$failures"
awk '{p += $1; f += $2; s += $3}
  END {printf "tests: %d passed, %d failed, %d skipped\n", p, f, s; exit !(f == 0 && p > 0)}' "$tally"

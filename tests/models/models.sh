#!/usr/bin/env bash
# Runs the symbolic models with Verifpal and compares what it finds with what each file expects.
# In: the *.vp files beside this script, or those named on the command line; each has the lines
#   `// expected: CODE` (two runs of every party) and `// expected-one-run: CODE` (one run), CODE being
#   Verifpal's result code: a letter per query (c a f u e) and 0 for holds, 1 for attack found.
# Out: one line per model and number of runs, `ok|DIFFERS name/runs expected found seconds`; ends with 1 if
#   one differs, cannot be analysed or says nothing of what is expected. Nothing is written.
# Tool: `cargo install verifpal --version 1.6.7 --ignore-rust-version --root DIR -j 1` (Rust 1.95 will do; about
#   six minutes), then VERIFPAL=DIR/bin/verifpal, or verifpal in PATH. SECONDS_MAX (120) stops a single analysis.
# A model that holds has shown no attack within these runs and the tool's bounds on terms; that is no proof.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
tool=${VERIFPAL:-verifpal}
seconds_max=${SECONDS_MAX:-120}
command -v "$tool" >/dev/null || {
  echo "models.sh: no $tool; see the head of this script" >&2
  exit 2
}

if [ $# -gt 0 ]; then models=("$@"); else models=("$here"/*.vp); fi
[ -e "${models[0]}" ] || {
  echo "models.sh: no models" >&2
  exit 2
}

# expectation FILE LABEL: the code; nothing if there is no such line, more than one, or one that is no code.
expectation() {
  local codes
  codes=$(sed -n "s|^// $2: ||p" "$1")
  if [[ $codes =~ ^([cafue][01])+$ ]]; then printf '%s' "$codes"; fi
}

# analyse FILE RUNS: Verifpal's code, or `error`, `timeout`.
analyse() {
  local out rc=0
  out=$(timeout "$seconds_max" "$tool" verify "$1" --sessions "$2" --result-code --quiet 2>/dev/null) || rc=$?
  out=$(printf '%s\n' "$out" | tail -n 1)
  if [ "$rc" -eq 124 ]; then
    printf 'timeout'
  elif [ "$rc" -ne 0 ] || ! [[ $out =~ ^([cafue][01])+$ ]]; then
    printf 'error'
  else
    printf '%s' "$out"
  fi
}

bad=0
for model in "${models[@]}"; do
  name=$(basename "$model" .vp)
  for runs in 1 2; do
    label=expected
    [ "$runs" -eq 2 ] || label=expected-one-run
    expected=$(expectation "$model" "$label")
    begun=$(date +%s)
    found=$(analyse "$model" "$runs")
    took=$(($(date +%s) - begun))
    word=ok
    if [ -z "$expected" ] || [ "$expected" != "$found" ]; then
      word=DIFFERS
      bad=1
    fi
    printf '%s %s/%s %s %s %s\n' "$word" "$name" "$runs" "${expected:-missing}" "$found" "$took"
  done
done
exit "$bad"

#!/usr/bin/env bash
# Measure a chat server with curl and a clock, and nothing of this package: a second opinion on its figures.
#
#   benchmarks/stopwatch.sh URL decode STREAMS     tokens a second of all streams together
#   benchmarks/stopwatch.sh URL prefill WORDS      prompt tokens a second
#
# Decode is the difference of two runs: answers of 160 tokens and of 32, all streams at once, each timed from the start of
# the first curl to the end of the last. What both have in common (connections, prompts, the first and last steps)
# cancels out. Prefill is an answer of one token. Prompts are random words, so that no cache helps.
set -euo pipefail

if [[ $# -ne 3 || ! $2 =~ ^(decode|prefill)$ || ! $3 =~ ^[1-9][0-9]*$ ]]; then
  echo "usage: stopwatch.sh URL decode STREAMS | stopwatch.sh URL prefill WORDS" >&2
  exit 2
fi
url=${1%/} kind=$2 count=$3
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
vocabulary=(river stone window morning paper garden silver engine quiet market bridge winter signal copper letter forest)

# A request with so many words and so many tokens of answer.
request() {
  local text="Case $RANDOM$RANDOM. Continue this list for a long time:" word
  for ((word = 0; word < $1; word++)); do
    text+=" ${vocabulary[RANDOM % ${#vocabulary[@]}]}"
  done
  printf '{"model": "benchmark", "messages": [{"role": "user", "content": "%s"}], "max_tokens": %d, "temperature": 0,' \
    "$text" "$2"
  printf ' "ignore_eos": true, "stream": true, "stream_options": {"include_usage": true}}'
}

# Seconds that so many streams take, all started at once: streams, words, tokens.
seconds() {
  local stream begin end pids=()
  for ((stream = 0; stream < $1; stream++)); do
    request "$2" "$3" >"$scratch/$stream.json"
  done
  begin=$EPOCHREALTIME
  for ((stream = 0; stream < $1; stream++)); do
    curl --silent --show-error --fail --no-buffer --header 'Content-Type: application/json' \
      --data "@$scratch/$stream.json" --output "$scratch/$stream.out" "$url/v1/chat/completions" &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do
    wait "$pid"
  done
  end=$EPOCHREALTIME
  awk -v begin="$begin" -v end="$end" 'BEGIN { printf "%.6f\n", end - begin }'
}

# The sum of a counter in the answers' usage.
counted() {
  cat "$scratch"/*.out | grep -o "\"$1\": *[0-9]*" | awk -F: '{ sum += $2 } END { print sum }'
}

if [[ $kind == decode ]]; then
  short_s=$(seconds "$count" 24 32)
  short_tokens=$(counted completion_tokens)
  long_s=$(seconds "$count" 24 160)
  long_tokens=$(counted completion_tokens)
  awk "BEGIN { printf \"%.2f\\n\", ($long_tokens - $short_tokens) / ($long_s - $short_s) }"
else
  spent_s=$(seconds 1 "$count" 1)
  awk "BEGIN { printf \"%.2f\\n\", $(counted prompt_tokens) / $spent_s }"
fi

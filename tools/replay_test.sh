#!/usr/bin/env bash
# What would break: a failing run could not be repeated by the command that its report prints, or a wrong
# use would pass for a run without failures.
set -euo pipefail
. "$TEST_SRCDIR/$TEST_WORKSPACE/tools/test_library.sh"

replay="$1"
hash_of() { grep '^event hash' "$1" || fail "no hash in $1"; }

expect_code 0 "$replay" --list
grep -q '^server ' "$directory/out" || fail "--list does not name the server"
expect_code 0 "$replay" --help
grep -q -- '--write-plan' "$directory/out" || fail "--help says too little"

# A seed twice, then as a plan.
expect_code 0 "$replay" --scenario=server --seed=7 --write-plan="$directory/7.jsonl"
cp "$directory/out" "$directory/first"
expect_code 0 "$replay" --scenario=server --seed=0x7 --events=5
[[ "$(hash_of "$directory/first")" == "$(hash_of "$directory/out")" ]] || fail "a seed gave two hashes"
[[ "$(grep -c '^#' "$directory/out")" == 5 ]] || fail "--events=5 did not print five events"
expect_code 0 "$replay" --scenario=server --seed=7 --events=1 --hashes
[[ "$(sed -n 's/^event hash *//p' "$directory/out")" == "$(sed -n 's/ #.*//p' "$directory/out")" ]] ||
  fail "the last event's hash is not that of the run"
expect_code 0 "$replay" --plan="$directory/7.jsonl"
[[ "$(hash_of "$directory/first")" == "$(hash_of "$directory/out")" ]] || fail "the plan gave another hash"
expect_code 0 "$replay" --scenario=server --seed=1 --runs=2 --json
[[ "$(wc -l <"$directory/out")" == 2 ]] || fail "--json does not print one line a run"

# As a page and as a trace: the run is the same, and both have all of it.
expect_code 0 "$replay" --scenario=server --seed=7 --html="$directory/7.html" --trace="$directory/7.trace"
[[ "$(hash_of "$directory/first")" == "$(hash_of "$directory/out")" ]] || fail "a run that is watched is another run"
events="$(sed -n 's/^events *//p' "$directory/out")"
/usr/bin/python3 - "$directory" "$events" <<'END' || fail "the page's data, or the trace"
import json, re, sys
folder, events = sys.argv[1], int(sys.argv[2])
page = open(folder + "/7.html", encoding="utf-8").read()
data = json.loads(re.search('<script type="application/json" id="data">(.*?)</script>', page, re.S).group(1))
assert data["schema"] == "orrery-view/1" and data["failure"] is None
assert len(data["events"]["number"]) == events == data["head"]["events"]
trace = json.load(open(folder + "/7.trace"))["traceEvents"]
assert {event["ph"] for event in trace} <= set("MXbnei"), trace
assert sum(event["name"] == "io_uring_enter" for event in trace) > 0
END

# A plan whose promise is not kept.
sed '1s/"hash":"0x[0-9a-f]*"/"hash":"0x1"/' "$directory/7.jsonl" >"$directory/wrong.jsonl"
expect_code 1 "$replay" --plan="$directory/wrong.jsonl"
grep -q 'the plan expects the event hash 0x1' "$directory/err" || fail "no reason for the failure"

# Wrong uses, each with a reason.
expect_code 2 "$replay"
expect_code 2 "$replay" --scenario=server
expect_code 2 "$replay" --scenario=nosuch --seed=1
expect_code 2 "$replay" --scenario=server --seed=x
expect_code 2 "$replay" --nosuch
expect_code 2 "$replay" --plan="$directory/nosuch.jsonl"
expect_code 2 "$replay" --scenario=server --seed=7 --shrink="$directory/small.jsonl"
grep -q 'breaks no rule' "$directory/err" || fail "no reason not to shrink a good run"
[[ ! -e "$directory/small.jsonl" ]] || fail "a good run was shrunk"
expect_code 2 "$replay" --plan="$directory/7.jsonl" --seed=7
expect_code 2 "$replay" --scenario=server --seed=7 --runs=2 --html="$directory/2.html"
expect_code 2 "$replay" --scenario=server --seed=7 --html=/nosuch/folder/7.html
grep -q '/nosuch/folder/7.html: cannot be written' "$directory/err" || fail "no reason for a page that is missing"
echo '{"schema":"orrery-plan/1","scenario":"server","seed":1}
{"op":"fly","client":0}' >"$directory/bad.jsonl"
expect_code 2 "$replay" --plan="$directory/bad.jsonl"
grep -q 'no step has the name "fly"' "$directory/err" || fail "a bad plan has no reason"
echo PASS

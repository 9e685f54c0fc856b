#!/usr/bin/env bash
# Measures how fast hsae explore answers 64 clients at once. First the same page of each kind, again and again. Then
# new pages from a server that was just started: each request is another latent, list, search or API call, at random.
# Last the latents of texts of 32 tokens, new ones each time.
#
#   runs/explorer-load.sh FEATURES [SECONDS] [CLIENTS]
#
# FEATURES is a folder that hsae explain wrote. SECONDS [8] is the time for each row of the tables. The client is wrk
# (Debian: wrk), which shares the processors with the server. HSAE names the executable, PORT the port, SEED chooses
# the pages. The server is stopped at the end.
set -euo pipefail
cd "$(dirname "$0")/.."
hsae=${HSAE:-.build/release/hsae}
features=${1:?"usage: $0 FEATURES [SECONDS] [CLIENTS]"}
seconds=${2:-8} clients=${3:-64} port=${PORT:-8497}
command -v wrk >/dev/null || { echo "$0: wrk is missing: apt-get install wrk" >&2; exit 69; }
base=http://127.0.0.1:$port
server=
stop() { if [ -n "$server" ]; then kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; fi; }
trap stop EXIT
start() {
  stop
  "$hsae" explore "$features" --port "$port" >/dev/null 2>&1 &
  server=$!
  for _ in $(seq 100); do curl -fs -o /dev/null "$base/" && break || sleep 0.1; done
}

start
# The first run's name, shape, expert with the highest score, and words of its latents.
{ read -r SHAPE; read -r expert; read -r WORDS; } < <(curl -fs "$base/api/v1/runs" | python3 -c '
import json, re, sys, urllib.parse, urllib.request
run = json.load(sys.stdin)[0]
name, shape = urllib.parse.quote(run["name"], ""), run["shape"]
url = sys.argv[1] + "/api/v1/runs/" + name + "/latents?limit=1000"
latents = json.load(urllib.request.urlopen(url))["latents"]
words = {word.strip("\u2581") for latent in latents for word in latent["words"][:3]}
print(name, shape["experts"], max(1, shape["sublatents"]))
print(latents[0]["expert"])
print(*sorted(word for word in words if re.fullmatch("[A-Za-z]{3,12}", word)))' "$base")
export SHAPE WORDS SEED=${SEED:-1}
name=${SHAPE%% *}
load() { KIND=$1 PAGE=${2:-} wrk -t1 -c"$clients" -d"${seconds}s" -s runs/explorer-load.lua "$base" | grep '^|'; }

head="| pages | requests | a second | median ms | p99 ms | p99 ms at the server | failed |
|---|---|---|---|---|---|---|"
printf 'asked for before:\n\n%s\n' "$head"
for page in "/runs/$name" "/runs/$name/latents" "/runs/$name/latents/$expert" \
  "/runs/$name/latents?q=${WORDS%% *}" "/api/v1/runs/$name/latents/$expert"; do load page "$page"; done
printf '\nnever asked for:\n\n%s\n' "$head"
for kind in latents sublatents lists searches api mix; do start; load "$kind"; done

start
curl -fs "$base/text?text=warm" -o /dev/null || { echo "(no model: texts were not measured)"; exit 0; }
printf '\nseconds for the latents of 32 tokens:\n'
for number in 1 2 3 4 5; do
  text=$(printf 'The+number+%s+' "$number"; printf 'dog+and+cat+%.0s' 1 2 3 4 5 6 7 8 9)
  curl -fs -o /dev/null -w '%{time_total}\n' "$base/text?text=$text"
done

#!/usr/bin/env bash
# How fast hsae explore answers: 10,000 requests by 64 clients at once over its pages, with percentiles, and
# texts of 32 tokens taken apart, new ones each time.
#
#   runs/explorer-load.sh FEATURES [REQUESTS] [CLIENTS]
#
# FEATURES is what hsae explain wrote. The clients are ApacheBench's (Debian: apache2-utils). HSAE names the
# executable, PORT the port. The server is stopped at the end.
set -euo pipefail
cd "$(dirname "$0")/.."
hsae=${HSAE:-.build/release/hsae}
features=${1:?"usage: $0 FEATURES [REQUESTS] [CLIENTS]"}
requests=${2:-10000} clients=${3:-64} port=${PORT:-8497}
command -v ab >/dev/null || { echo "$0: ab is missing: apt-get install apache2-utils" >&2; exit 69; }
"$hsae" explore "$features" --port "$port" >/dev/null 2>&1 &
server=$!
trap 'kill $server 2>/dev/null || true' EXIT
base=http://127.0.0.1:$port
for _ in $(seq 100); do curl -fs -o /dev/null "$base/" && break || sleep 0.1; done

read -r run expert word < <(curl -fs "$base/api/v1/runs" | python3 -c '
import json, sys, urllib.parse, urllib.request
run = json.load(sys.stdin)[0]["name"]
url = sys.argv[1] + "/api/v1/runs/" + urllib.parse.quote(run, "") + "/latents?limit=1"
first = json.load(urllib.request.urlopen(url))["latents"][0]
print(urllib.parse.quote(run, ""), first["expert"], urllib.parse.quote(first["words"][0]))' "$base")

pages=("/runs/$run" "/runs/$run/latents" "/runs/$run/latents/$expert" "/runs/$run/latents?q=$word"
  "/api/v1/runs/$run/latents/$expert")
echo "| page | requests/s | median ms | p99 ms | failed |"
echo "|---|---|---|---|---|"
for page in "${pages[@]}"; do
  ab -q -k -n $((requests / ${#pages[@]})) -c "$clients" "$base$page" 2>/dev/null | awk -v page="$page" '
    /^Requests per second/ { rate = $4 } /^Failed requests/ { failed = $3 }
    /^Non-2xx/ { failed += $3 } / 50%/ { median = $2 } / 99%/ { high = $2 }
    END { printf "| %s | %s | %s | %s | %s |\n", page, rate, median, high, failed }'
done

curl -fs "$base/text?text=warm" -o /dev/null || { echo "(no model: texts were not taken apart)"; exit 0; }
echo
echo "seconds for 32 tokens taken apart:"
for number in 1 2 3 4 5; do
  text=$(printf 'The+number+%s+' "$number"; printf 'dog+and+cat+%.0s' 1 2 3 4 5 6 7 8 9)
  curl -fs -o /dev/null -w '%{time_total}\n' "$base/text?text=$text"
done

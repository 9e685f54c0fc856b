#!/usr/bin/env bash
# Trains with two network namespaces as if they were two machines (own names, addresses and network; shared files),
# and then makes it fail: other data, another build or other settings on the second machine, a killed process, a cut
# network, a full disk. Prints for each how long the job took to stop, its message, and whether the last checkpoint is
# whole. Fails if there is not exactly one sentence within 30 seconds. Needs root, iproute2, python3 and `make mpi`.
#
#   runs/two-hosts.sh HSAE [DATA.npy] [FOLDER]        without DATA: 8,000 made-up rows
set -euo pipefail
usage="usage: runs/two-hosts.sh HSAE [DATA.npy] [FOLDER]"
hsae=$(realpath "${1:?$usage}")
[ "$(id -u)" -eq 0 ] || { echo "two-hosts: only root can make network namespaces." >&2; exit 69; }
command -v ip >/dev/null || { echo "two-hosts: install iproute2 (ip)." >&2; exit 69; }
work=$(realpath -m "${3:-out/two-hosts}")
mkdir -p "$work"

# made SEED FILE: rows of width 64.
made() {
  python3 - "$1" "$2" <<'PYTHON'
import array, random, sys
rows, width = 8000, 64
random.seed(int(sys.argv[1]))
means = [[random.gauss(0, 1) for _ in range(width)] for _ in range(64)]
values = array.array("f")
for row in range(rows):
    mean = random.choice(means)
    values.extend(m + random.gauss(0, 0.3) for m in mean)
header = "{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d), }" % (rows, width)
header = header.ljust(117) + "\n"
with open(sys.argv[2], "wb") as file:
    file.write(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode())
    values.tofile(file)
PYTHON
}
if [ -n "${2:-}" ]; then
  data=$(realpath "$2")
else
  data=$work/rows.npy
  made 1 "$data"
fi
# Other rows; and the same rows with 2,000 signs changed in places the fingerprint does not sample.
made 2 "$work/other.npy"
cp "$data" "$work/signs.npy"
python3 - "$work/signs.npy" <<'PYTHON'
import sys
with open(sys.argv[1], "r+b") as file:
    size = file.seek(0, 2)
    # After the sample of 1 KiB that begins here.
    file.seek((size - 65536) // 64 * 32 // 4 * 4 + 4096)
    place = file.tell()
    part = bytearray(file.read(8000))
    for index in range(3, len(part), 4):
        part[index] ^= 0x80
    file.seek(place)
    file.write(part)
PYTHON
cp "$hsae" "$work/hsae-other"
printf '\0' >>"$work/hsae-other"
failed=0

a=hsae-a b=hsae-b
clean() {
  for host in $a $b; do
    ip netns pids $host 2>/dev/null | xargs -r kill -9 2>/dev/null || true
    ip netns del $host 2>/dev/null || true
    rm -rf "/etc/netns/$host"
  done
  if mountpoint -q "$work/small"; then umount -l "$work/small"; fi
}
trap clean EXIT
clean
ip netns add $a
ip netns add $b
ip link add hsae-veth-a netns $a type veth peer name hsae-veth-b netns $b
for host in $a $b; do
  mkdir -p /etc/netns/$host
  printf '127.0.0.1 localhost\n10.77.0.1 %s\n10.77.0.2 %s\n' $a $b >/etc/netns/$host/hosts
  ip -n $host link set lo up
done
ip -n $a addr add 10.77.0.1/24 dev hsae-veth-a
ip -n $b addr add 10.77.0.2/24 dev hsae-veth-b
ip -n $a link set hsae-veth-a up
ip -n $b link set hsae-veth-b up

# mpirun calls this instead of ssh: "AGENT HOST COMMAND…".
agent=$work/agent.sh
cat >"$agent" <<'AGENT'
#!/bin/bash
host=$1
shift
exec ip netns exec "$host" unshare --uts bash -c "hostname $host; $*"
AGENT
chmod +x "$agent"

export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
launch=("$agent" $a mpirun --bind-to none
  --mca plm_rsh_agent "$agent" --mca oob_tcp_if_include 10.77.0.0/24
  --mca btl tcp,self --mca btl_tcp_if_include 10.77.0.0/24 --mca mpi_yield_when_idle 1
  --mca oob_tcp_keepalive_time 5 --mca oob_tcp_keepalive_intvl 1 --mca oob_tcp_keepalive_probes 3)
# job ARGUMENTS…: two processes, one on each host.
job() { exec "${launch[@]}" --host $a:1,$b:1 -n 2 "$hsae" "$@"; }
# pair HSAE-OF-B DATA-OF-B RUN OPTIONS-OF-B…: the same, with something else on the second host.
pair() {
  local other=$1 rows=$2 run=$3
  shift 3
  exec "${launch[@]}" --host $a:1,$b:1 \
    -n 1 --host $a:1 "$hsae" train "$data" --out "$run" "${options[@]}" --steps 100 : \
    -n 1 --host $b:1 "$other" train "$rows" --out "$run" "${options[@]}" --steps 100 "$@"
}
options=(--experts 256 --sublatents 8 --subspace 4 --k 8 --batch 1024 --threads 1 --checkpoint-every 20)

# said LOG: prints hsae's own messages, which must be one sentence.
said() {
  local own
  own=$(grep '^hsae: ' "$1" | grep -v -e '^hsae: memory' -e '^hsae: sent by' || true)
  # If a process is killed that is alone on its machine, neither it nor others can report it.
  [ -n "$own" ] || own=$(grep -E 'mpirun noticed|lost communication' "$1" || true)
  echo "  | $own"
  [ "$(echo "$own" | grep -c .)" -eq 1 ] || wrong "that is not one sentence"
}
wrong() {
  echo "  WRONG: $1"
  failed=1
}
soon() { [ "$1" -le 30 ] || wrong "it took too long"; }

# refused WHAT PATTERN ARGUMENTS-OF-PAIR…
refused() {
  echo "$1"
  local pattern=$2 run=$5 code=0 begin
  shift 2
  rm -rf "$run"
  begin=$(date +%s)
  (pair "$@") >"$run.log" 2>&1 || code=$?
  local seconds=$(($(date +%s) - begin))
  echo "  exit $code after $seconds s"
  said "$run.log"
  soon "$seconds"
  [ "$code" -ne 0 ] || wrong "the job ended as if all were well"
  grep -q "^hsae: .*$pattern" "$run.log" || wrong "no word of $pattern"
}

# ended RUN SECONDS-SINCE-EPOCH PID
ended() {
  local code=0
  wait "$3" || code=$?
  local seconds=$(($(date +%s) - $2))
  local last
  last=$(ls "$work/$1/checkpoints" | tail -n 1)
  echo "  exit $code after $seconds s; newest checkpoint $last"
  said "$work/${1%%/*}.log"
  soon "$seconds"
  [ "$1" = small/run ] && mount -o remount,size=400m "$work/small"
  "$hsae" train --resume --out "$work/$1" --threads 1 >/dev/null 2>"$work/${1%%/*}.resume" &
  local resumed=$!
  sleep 5
  kill -TERM $resumed
  wait $resumed || true
  grep -q 'Passing over' "$work/${1%%/*}.resume" && wrong "the newest checkpoint was damaged"
  [ "$(ls "$work/$1/checkpoints" | tail -n 1)" \> "$last" ] && echo "  resumed from there by one process" ||
    wrong "it does not go on: $(tail -n 1 "$work/${1%%/*}.resume")"
}
started() { # RUN: waits for its second checkpoint
  for _ in $(seq 600); do
    [ "$(ls "$work/$1/checkpoints" 2>/dev/null | wc -l)" -ge 2 ] && return
    sleep 0.1
  done
  echo "two-hosts: the job makes no progress:" >&2
  tail -n 20 "$work/${1%%/*}.log" >&2
  exit 70
}

echo "200 steps on two hosts"
rm -rf "$work"/{whole,killed,cut,small}
(job train "$data" --out "$work/whole" "${options[@]}" --steps 200) >"$work/whole.log" 2>&1
tail -n 1 "$work/whole.log" | sed 's/^/  /'

echo "the process on the second host is killed"
(job train "$data" --out "$work/killed" "${options[@]}" --steps 1000000) >"$work/killed.log" 2>&1 &
pid=$!
started killed
kill -9 $(ip netns pids $b | while read -r p; do
  [ "$(readlink "/proc/$p/exe")" = "$hsae" ] && echo "$p"; done)
ended killed "$(date +%s)" $pid

echo "the network between them is cut"
(job train "$data" --out "$work/cut" "${options[@]}" --steps 1000000) >"$work/cut.log" 2>&1 &
pid=$!
started cut
ip -n $b link set hsae-veth-b down
ended cut "$(date +%s)" $pid
ip -n $b link set hsae-veth-b up

echo "the disk is full"
mkdir -p "$work/small"
mount -t tmpfs -o size=24m none "$work/small"
(job train "$data" --out "$work/small/run" "${options[@]}" --steps 1000000) >"$work/small.log" 2>&1 &
pid=$!
started small/run
dd if=/dev/zero of="$work/small/fill" bs=64k 2>/dev/null || true
ended small/run "$(date +%s)" $pid

refused "other data on the second host" "give all ranks the same" \
  "$hsae" "$work/other.npy" "$work/data"
refused "2,000 other signs, which the fingerprint does not see" "other rows" \
  "$hsae" "$work/signs.npy" "$work/signs"
refused "another build on the second host" "another build" \
  "$work/hsae-other" "$data" "$work/build"
refused "other settings on the second host" "other settings" \
  "$hsae" "$data" "$work/settings" --seed 4
exit $failed

#!/usr/bin/env bash
# Runs small versions of the job scripts of docs/scale.md under a Slurm of two nodes on this machine: training, stopping
# before the time limit, resuming, a killed process, evaluating, collecting. Fails if one does not do what that page says.
# Needs root, `make mpi` and Debian's slurmctld, slurmd, slurm-client, slurm-wlm-basic-plugins and munge. Three minutes.
#
#   runs/slurm.sh HSAE DATA.npy [FOLDER]        FOLDER outside /tmp, because the second node has its own /tmp
set -euo pipefail
usage="usage: runs/slurm.sh HSAE DATA.npy [FOLDER]"
hsae=$(realpath "${1:?$usage}")
data=$(realpath "${2:?$usage}")
work=$(realpath -m "${3:-/var/tmp/hsae-slurm}")
[ "$(id -u)" -eq 0 ] || { echo "slurm: only root can start Slurm daemons." >&2; exit 69; }
for program in slurmctld slurmd sbatch munged unshare; do
  command -v $program >/dev/null || { echo "slurm: $program is missing." >&2; exit 69; }
done
rm -rf "$work"
mkdir -p "$work"/{state,spool}
cp "$hsae" "$work/hsae"
cd "$work"

export SLURM_CONF=$work/slurm.conf OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
host=$(hostname -s)
cat >slurm.conf <<CONF
ClusterName=try
SlurmctldHost=$host
SlurmUser=root
AuthType=auth/munge
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/spool
SlurmctldPidFile=$work/slurmctld.pid
SlurmdPidFile=$work/%n.pid
SlurmctldLogFile=$work/slurmctld.log
SlurmdLogFile=$work/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
MpiDefault=none
NodeName=node[1-2] NodeHostname=$host NodeAddr=127.0.0.1 Port=[17001-17002] CPUs=$(nproc) RealMemory=2000 State=UNKNOWN
PartitionName=all Nodes=node[1-2] Default=YES MaxTime=INFINITE State=UP
CONF
ownMunge=
if ! pgrep -x munged >/dev/null; then
  mkdir -p /run/munge
  chown munge: /run/munge
  runuser -u munge -- /usr/sbin/munged
  ownMunge=1
fi
finish() {
  scancel --full --user root 2>/dev/null || true
  for name in node1 node2 slurmctld; do
    if [ -e "$work/$name.pid" ]; then kill "$(cat "$work/$name.pid")" 2>/dev/null || true; fi
  done
  if [ -n "$ownMunge" ]; then pkill -x munged || true; fi
}
trap finish EXIT
slurmctld
slurmd -N node1
# The second node must not find the first one's sockets.
unshare -m bash -c "mount -t tmpfs none /tmp; mount -t tmpfs none '$work/spool'; exec slurmd -N node2"
for _ in $(seq 20); do
  [ "$(sinfo -h -t idle -o %D)" = 2 ] && break
  sleep 1
done

failed=0
wrong() { echo "  WRONG: $1"; failed=1; }
# job NAME MINUTES: submits the script on standard input and prints the job's number.
job() {
  { printf '#!/bin/bash\n#SBATCH --job-name=%s --nodes=2 --ntasks-per-node=1 --exclusive --time=%s:00 --output=%s.log\n' \
    "$1" "$2" "$1"; cat; echo 'echo "exit $?"'; } >"$1.sh"
  sbatch --parsable "$1.sh"
}
over() { # NUMBER SECONDS: waits for a job's end
  for _ in $(seq "$2"); do
    [ -n "$(squeue -h -j "$1" 2>/dev/null)" ] || return 0
    sleep 1
  done
  wrong "the job goes on"
}
run="srun --mpi=pmix --kill-on-bad-exit ./hsae"
options="--experts 256 --sublatents 8 --subspace 4 --k 8 --batch 1024 --threads 1 --checkpoint-every 1000"

echo "training, evaluating"
number=$(job whole 5 <<JOB
$run train $data $options --steps 300 --out whole
$run evaluate whole --suite core --tokens 4k --threads 1 --out evaluation
JOB
)
over "$number" 120
grep -E '^(hsae: sent|whole:|exit)' whole.log | sed 's/^/  | /'
[ -e evaluation/evaluation.json ] || wrong "nothing was evaluated"

echo "collecting"
for line in $(seq 200); do echo "This is document $line of a small corpus about dogs, cats and the sea."; done >text.txt
number=$(job collect 5 <<JOB
$run collect synthetic --layer 1 --text text.txt --threads 1 --out store
JOB
)
over "$number" 60
grep -E '^(store:|exit)' collect.log | sed 's/^/  | /'
grep -q '"complete" *: *true' store/zarr.json || wrong "the store is not complete"

echo "stopping before the time limit, and resuming"
number=$(job limit 2 <<JOB
#SBATCH --signal=TERM@60
$run train $data $options --steps 10000000 --out limit --resume
JOB
)
over "$number" 150
before=$(ls limit/checkpoints | tail -n 1)
[ $((10#${before#step-} % 1000)) -ne 0 ] || wrong "no checkpoint was written at the end"
number=$(job again 2 <<<"$run train $data $options --steps 10000000 --out limit --resume")
sleep 15
scancel "$number"
over "$number" 40
after=$(ls limit/checkpoints | tail -n 1)
echo "  | $before, then $after"
[ "$after" \> "$before" ] || wrong "it does not go on"

echo "a process is killed"
number=$(job killed 2 <<<"$run train $data $options --steps 10000000 --out killed")
for _ in $(seq 300); do
  [ "$(ls killed/checkpoints 2>/dev/null | wc -l)" -ge 2 ] && break
  sleep 0.1
done
kill -9 "$(pgrep -f "^$work/(\./)?hsae train .*--out killed" | tail -n 1)"
begin=$(date +%s)
over "$number" 40
echo "  | $(($(date +%s) - begin)) s; $(grep '^hsae: Rank' killed.log)"
[ "$(grep -c '^hsae: Rank' killed.log)" = 1 ] || wrong "that is not one sentence"
exit $failed

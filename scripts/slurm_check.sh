#!/usr/bin/env bash
# scripts/slurm_check.sh: bnexp on a Slurm of two machines that this script makes, from Debian's
# slurm-wlm and munge: all well; jobs of a minute; a command that is killed and repeated; a
# machine cut off while it trains; results on a disk that one machine lacks. Each line is what
# must hold; exits with 0 if all does. Needs bnexp[slurm]; see scripts/machines.sh. PYTHON is
# the interpreter (default .venv's).
. "$(dirname "$0")/machines.sh"
export PATH=$PATH:/usr/sbin SLURM_CONF=$work/slurm.conf DEBIAN_FRONTEND=noninteractive
command -v slurmctld slurmd sbatch munged > "$work/found" || {
    apt-get update -qq && apt-get install -y -qq --no-install-recommends slurm-wlm munge
} > "$work/apt.log" 2>&1 || {
    echo "no Slurm here, and none can be installed: Debian's packages are slurm-wlm and munge" >&2
    exit 3
}
machines one two
# /var/spool is each machine's own.
cat > "$SLURM_CONF" <<CONF
ClusterName=check
SlurmctldHost=one($subnet.1)
SlurmUser=root
AuthInfo=socket=/var/spool/munge.socket
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
MpiDefault=none
ReturnToService=2
SlurmdTimeout=15
KillWait=5
StateSaveLocation=/var/spool/state
SlurmdSpoolDir=/var/spool/slurmd
SlurmctldPidFile=/var/spool/slurmctld.pid
SlurmdPidFile=/var/spool/slurmd.pid
NodeName=one NodeAddr=$subnet.1 CPUs=1
NodeName=two NodeAddr=$subnet.2 CPUs=1
PartitionName=all Nodes=one,two Default=YES MaxTime=60
CONF
echo CgroupPlugin=cgroup/v1 > "$work/cgroup.conf" # of which no plugin above makes use
head -c 1024 /dev/urandom > "$work/munge.key"
chmod 400 "$work/munge.key"
chmod 755 "$work"
slurm_on() { # NAME
    on "$1" munged --force --key-file "$work/munge.key" --socket /var/spool/munge.socket \
        --pid-file /var/spool/munged.pid --log-file /var/spool/munged.log \
        --seed-file /var/spool/munge.seed 2>> "$work/munge.log"
    [ "$1" != one ] || on one slurmctld -L "$work/slurmctld.log"
    on "$1" slurmd -L "$work/slurmd-$1.log" || { tail "$work/slurmd-$1.log" >&2; exit 1; }
}
ready() { # until both machines take jobs
    local n=0
    until [ "$(on one sinfo --noheader --Node --format=%T | sort -u)" = idle ]; do
        n=$((n + 1))
        [ $n -lt 120 ] || { tail "$work"/slurm*.log >&2; exit 1; }
        sleep 1
    done
}
slurm_on one
slurm_on two
ready

cd "$work"
small=(-m data=digits data.train_size=64 train.batch_size=32 model=lenet "seed=range(8)"
    name=small)
array=(engine=slurm engine.workers=2 engine.cpus=1)
run() { # FOLDER ARGUMENT...: a command on the first machine; its code is in CODE
    code=0
    bnexp_on one run "${@:2}" results_dir="$work/$1" > "$work/$1.out" 2> "$work/$1.err" ||
        code=$?
}
jobs_of() { ls "$work/$1"/small/slurm/*_submitted.pkl | wc -l; }
run alone "${small[@]}" engine=inline train.epochs=3
holds "alone the runs finish" test $code = 0

run well "${small[@]}" "${array[@]}" train.epochs=3 engine.minutes=1
holds "in jobs of one minute, too ($(hosts well))" test $code = 0
holds "and every run is identical" same well

bnexp_on one run "${small[@]}" "${array[@]}" train.epochs=3 results_dir="$work/killed" \
    > "$work/killed.out" 2>&1 &
until [ -n "$(on one squeue --noheader --states=running)" ] &&
    [ -e "$work/killed/small/slurm/jobs.json" ]; do sleep 0.2; done
pkill -9 -f "results_dir=$work/killed"
wait $! || true
before=$(jobs_of killed)
run killed "${small[@]}" "${array[@]}" train.epochs=3
holds "a command that is killed and repeated finishes" test $code = 0
holds "it waits for the jobs that are there: $(cat "$work/killed.err")" \
    test "$before $(jobs_of killed)" = "2 2"
holds "and every run is identical" same killed

(
    until [ -n "$(on one squeue --noheader --states=running --nodelist=two)" ]; do sleep 0.2; done
    sleep 5
    cut_off two
) &
run cut "${small[@]}" "${array[@]}" train.epochs=3
wait $!
holds "a machine that is cut off costs no run ($(hosts cut))" test $code = 0
holds "and every run is identical" same cut

mkdir "$work/unshared"
boot two "$work/unshared"
slurm_on two
ready
run unshared "${small[@]}" "${array[@]}" train.epochs=3
holds "a machine that lacks the folder is named, with what to do: $(grep -m1 "left no log" \
    "$work/unshared.out")" grep -q "on two .*left no log .*must be on a disk" "$work/unshared.out"
[ $failed = 0 ] || tail -n 20 "$work"/*.out "$work"/*.err "$work"/slurm*.log >&2
exit $failed

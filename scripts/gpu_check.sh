#!/usr/bin/env bash
# scripts/gpu_check.sh OUT [STAGE ...]: all that one call on a machine with a GPU can tell, in
# the order of its worth: the stages below, or those that are named. Each has a limit of its own
# and ends when the time is up; what it found lies in OUT as soon as it ends:
#   stages.tsv     stage, exit code (124: its time was up), seconds
#   measured.json  the numbers of scripts/gpu_measure.py
#   tests.xml, log.txt, studies.tar.gz (their folders, without PNGs)
# A machine without a network: give it a folder of scripts/gpu_prepare.sh.
#
#   GPU_CHECK_SECONDS   for all stages together (default 460)
#   GPU_CHECK_PATIENCE  times as long for each stage (default 1), for a rehearsal on a busy machine
#   GPU_CHECK_PREPARED  that folder: its wheels and data are used
#   GPU_CHECK_DEVICE    default cuda:0; cpu rehearses everything at a tiny size
#   PYTHON              the interpreter (default .venv's, else python3)
#   BNEXP_DATA_ROOT     the data, where no folder was prepared
set -uo pipefail
cd "$(dirname "$0")/.."
[ $# -ge 1 ] || { sed -n '2,17s/^# \?//p' scripts/gpu_check.sh >&2; exit 2; }
mkdir -p "$1" && out=$(cd "$1" && pwd) || exit 2
shift
asked=("$@")
budget=${GPU_CHECK_SECONDS:-460}
patience=${GPU_CHECK_PATIENCE:-1}
device=${GPU_CHECK_DEVICE:-cuda:0}
prepared=${GPU_CHECK_PREPARED:-}
python=${PYTHON:-.venv/bin/python}
[ -x "$(command -v "$python")" ] || python=python3

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export PYTHONUNBUFFERED=1 PYTHONPATH="$PWD"
# What was compiled there before need not be compiled again.
export XDG_CACHE_HOME="${XDG_CACHE_HOME:-$work/cache}"
export TRITON_CACHE_DIR="$work/triton"
if [ -n "$prepared" ]; then
    prepared=$(cd "$prepared" && pwd) || exit 2
    mkdir -p "$work/data" "$work/site"
    if [ -d "$prepared/wheels" ]; then
        "$python" -m pip install --quiet --disable-pip-version-check --no-index --no-deps \
            --no-compile --no-cache-dir --target "$work/site" "$prepared"/wheels/*.whl || exit 1
        export PYTHONPATH="$work/site:$PWD"
    fi
    if [ -f "$prepared/data.tar.gz" ]; then
        tar -C "$work/data" -xzf "$prepared/data.tar.gz" || exit 1
        export BNEXP_DATA_ROOT="$work/data"
    fi
fi
if [ "$device" != cpu ]; then
    "$python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' || {
        echo "gpu_check: PyTorch sees no CUDA device here; GPU_CHECK_DEVICE=cpu rehearses" >&2
        exit 2
    }
fi
echo "gpu_check: everything is in place after $SECONDS s; $((budget - SECONDS)) s are left"

worst=0
log() { # what a stage printed, of which a long one's end
    { echo "==> $1"; tail -c 400000 "$work/$1.log"; } >> "$out/log.txt"
}
stage() { # NAME LIMIT COMMAND...
    local name=$1 limit=$(($2 * patience)) start=$SECONDS left=$((budget - SECONDS)) code
    shift 2
    if [ ${#asked[@]} -gt 0 ] && [[ " ${asked[*]} " != *" $name "* ]]; then
        return 0
    fi
    if [ "$left" -lt 5 ]; then
        printf '%s\t%s\t%s\n' "$name" "no time" 0 | tee -a "$out/stages.tsv"
        worst=1
        return 0
    fi
    [ "$limit" -le "$left" ] || limit=$left
    # Interrupted, a study keeps what it has and says how much that is.
    timeout --signal=INT --kill-after=8 "$limit" "$@" > "$work/$name.log" 2>&1
    code=$?
    [ "$code" -eq 0 ] || worst=1
    log "$name"
    tail -n "${SHOWN:-4}" "$work/$name.log" | cut -c 1-200
    printf '%s\t%s\t%s\n' "$name" "$code" $((SECONDS - start)) | tee -a "$out/stages.tsv"
    if [ -d "$work/studies" ]; then
        tar -C "$work/studies" --exclude='*.png' -czf "$work/studies.tar.gz" . &&
            mv "$work/studies.tar.gz" "$out/studies.tar.gz"
    fi
}
measure() { "$python" scripts/gpu_measure.py "$1" "$out/measured.json" "$device"; }
measure_in_torch() { BNEXP_KERNELS=off measure "$1"; }
study() { # FOLDER DEVICE STUDY OVERRIDE...
    local folder=$1 on=$2
    shift 2
    "$python" -m bnexp run "$@" device="$on" results_dir="'$work/studies/$folder'"
}
# Tests on the device, and the half of the comparison that a CPU trains on the other cores.
tests() {
    local cores n
    cores=$(nproc)
    n=$((cores < 12 ? 1 : 6))
    study cpu cpu study=device_parity engine.workers=$((cores > n + 1 ? cores - n : 1)) \
        "${small[@]}" "${few[@]}" > "$work/parity_cpu.log" 2>&1 &
    "$python" -m pytest -m "gpu and not thorough" "${tested[@]}" -q -p no:cacheprovider -p no:benchmark \
        --numprocesses "$((n > 1 ? n : 0))" --junitxml "$out/tests.xml"
    local code=$?
    wait $! || code=1
    return $code
}
compare() {
    "$python" -m bnexp report "$work/studies/cpu/device_parity" \
        "$work/studies/device/device_parity"
}
# `timeout` starts programs, not functions.
run() {
    local name=$1 limit=$2
    shift 2
    stage "$name" "$limit" bash -c "$(declare -f measure measure_in_torch study tests compare
        declare -p out work python device small few tested); $(printf '%q ' "$@")"
}

small=() few=() part=() tested=(tests/train tests/doctor) seeds='range(8)' many='range(1000)'
if [ "$device" = cpu ]; then
    small=(data=digits data.train_size=200 train.epochs=1 train.batch_size=64)
    few=('seed=range(1)' model.activation=relu train.precision=float32) part=(model.padding=2 optimizer.lr=0.9)
    tested=(tests/train/test_gpu.py) seeds='range(1)' many='range(2)'
fi
SHOWN=14 run card 40 measure card
SHOWN=6 run tests 140 tests
SHOWN=24 run speed 100 measure speed
SHOWN=24 run speed_torch 80 measure_in_torch speed
run parity 40 study device "$device" study=device_parity "${small[@]}" "${few[@]}"
SHOWN=12 run compare 40 compare
run pooling 150 study device "$device" study=pooling_vs_bn "${small[@]}" "${part[@]}" "seed=$seeds"
SHOWN=48 run profile 40 measure profile
SHOWN=9 run reference 60 measure reference
run mlp 150 study device "$device" -m name=mlp preset=lab_mlp norm=none,batch "${small[@]}" \
    "seed=$many"
run shared 100 study shared "$device" study=pooling_vs_bn "${small[@]}" "${part[@]}" "seed=$seeds" \
    engine.workers=4 # beside `pooling`: four structures at a time on the one device
SHOWN=9 run doctor 60 "$python" -m bnexp doctor device="$device"
echo "gpu_check: $SECONDS s; in $out: $(ls "$out" | tr '\n' ' ')"
exit $worst

#!/usr/bin/env bash
# scripts/ray_check.sh: bnexp on a Ray cluster of three machines that this script makes: all
# well; one without the user's code; one with another bnexp; one cut off while it trains; then
# the head. Each line is what must hold; exits with 0 if all does. Needs bnexp[ray]; see
# scripts/machines.sh. PYTHON is the interpreter (default .venv's).
. "$(dirname "$0")/machines.sh"
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')
export RAY_USAGE_STATS_ENABLED=0 RAY_worker_niceness=0
machines one two three
ray_on() { # NAME ARGUMENT...: start Ray there
    on "$1" "$python" -m ray.scripts.scripts start --num-cpus=1 --object-store-memory=100000000 \
        --disable-usage-stats --node-ip-address="$subnet.$2" "${@:3}" >> "$work/ray.log" 2>&1 ||
        { tail "$work/ray.log" >&2; exit 1; }
}
mkdir "$work/folder" "$work/other"
cd "$work/folder"
cat > mine.py <<'PYTHON'
"""A network of one's own: a folder that a node lacks is noticed."""

from bnexp.networks.custom import example


def build(config, seed):
    return example(config, seed)
PYTHON
head=$subnet.1:6379
ray_on one 1 --head --port=6379 --include-dashboard=false
ray_on two 2 --address="$head"
ray_on three 3 --address="$head"

small=(-m data=digits data.train_size=64 train.batch_size=32 model=custom
    model.function=mine:build "seed=range(8)" engine.cohort=1 name=small)
cluster=(engine=ray "engine.address='$head'")
run() { # FOLDER ARGUMENT...: a command on the second machine; its code is in CODE
    code=0
    bnexp_on two run "${@:2}" results_dir="$work/$1" > "$work/$1.out" 2> "$work/$1.err" ||
        code=$?
}
run alone "${small[@]}" engine=inline train.epochs=50
holds "alone the runs finish" test $code = 0

run well "${small[@]}" "${cluster[@]}" train.epochs=50
holds "on three machines, too ($(hosts well))" test $code = 0
holds "and every run is identical" same well

cut_off three
boot three "$work/folder"
ray_on three 3 --address="$head"
run code "${small[@]}" "${cluster[@]}" train.epochs=50
holds "a node without the user's code costs no run ($(hosts code))" test $code = 0
holds "every run is identical" same code
holds "the node is named: $(grep 'left out' "$work/code.err")" grep -q "three is left out" "$work/code.err"

cut_off three
mkdir "$work/other/bnexp" && echo '__version__ = "0.0.1"' > "$work/other/bnexp/__init__.py"
boot three "$root/bnexp"
PYTHONPATH=$work/other ray_on three 3 --address="$head"
run version "${small[@]}" "${cluster[@]}" train.epochs=50
holds "a node with another bnexp costs no run ($(hosts version))" test $code = 0
holds "it is named: $(grep 'left out' "$work/version.err")" grep -q "three is left out" "$work/version.err"

trained() { ls "$work/$1"/small/runs/*.json > "$work/listed" 2>&1; } # FOLDER: any run yet?
cut_off three
boot three
ray_on three 3 --address="$head"
(
    until trained killed; do sleep 0.2; done
    cut_off three
) &
run killed "${small[@]}" "${cluster[@]}" train.epochs=50
wait $!
holds "a machine that is cut off costs no run ($(hosts killed))" test $code = 0
holds "every run is identical" same killed

(
    until trained head; do sleep 0.2; done
    cut_off one
) &
run head "${small[@]}" "${cluster[@]}" train.epochs=500
wait $!
holds "without the head the command ends (exit code $code): $(cat "$work/head.err")" \
    test "$(wc -l < "$work/head.err") $code" = "1 2"
holds "the line says what to do" grep -q "head of the Ray cluster.* goes on" "$work/head.err"
[ $failed = 0 ] || tail -n 20 "$work"/*.out "$work"/*.err "$work"/*.log >&2
exit $failed

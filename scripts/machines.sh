# scripts/machines.sh: machines for the checks of a cluster, to be sourced by these. Each has an
# address, a host name, processes, /tmp/ray and /var/spool of its own (Linux namespaces); the
# rest of the disk is shared. Needs root, iproute2 and util-linux; leaves nothing behind.
set -euo pipefail
[ "$(id -u)" = 0 ] && command -v ip unshare >/dev/null || {
    echo "this check makes network namespaces: it needs root, ip (iproute2) and unshare" >&2
    exit 3
}
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=${PYTHON:-$root/.venv/bin/python}
work=$(mktemp -d /tmp/bnexp-XXXXXX)
bridge=bnexp$((RANDOM % 1000))
subnet=10.213.$((RANDOM % 250))
names=()
declare -A inits
trap leave EXIT
trap 'exit 130' INT TERM
export PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH} PYTHONUNBUFFERED=1 XDG_CACHE_HOME=$work/cache
export BNEXP_CORES=1

machines() { # NAME...: make them; the first has the address SUBNET.1, and so on
    ip link add "$bridge" type bridge
    ip link set "$bridge" up
    local name
    for name in "$@"; do
        ip netns add "$bridge$name"
        names+=("$name")
        ip link add "$bridge$name" type veth peer name eth0 netns "$bridge$name"
        ip link set "$bridge$name" master "$bridge" up
        ip -n "$bridge$name" address add "$subnet.${#names[@]}/24" dev eth0
        ip -n "$bridge$name" link set eth0 up
        ip -n "$bridge$name" link set lo up
        boot "$name"
    done
}
boot() { # NAME [FOLDER]: start a machine, on which a folder is empty
    local own="$work/$1"
    rm -rf "$own"
    mkdir -p "$own/ray" "$own/spool" /tmp/ray
    ip netns exec "$bridge$1" unshare --uts --mount --pid --fork --mount-proc sh -c '
        hostname "$1"
        mount --bind "$2/ray" /tmp/ray
        mount --bind "$2/spool" /var/spool
        [ -z "$3" ] || mount -t tmpfs none "$3"
        touch "$2/up"
        exec sleep infinity' sh "$1" "$own" "${2:-}" 2>> "$work/boot.log" &
    until [ -e "$own/up" ]; do sleep 0.1; done
    inits[$1]=$(pgrep -P $!)
}
on() { # NAME COMMAND...: run a command there, in the same folder as here
    nsenter --target "${inits[$1]}" --net --uts --mount --pid --wd="$PWD" "${@:2}"
}
cut_off() { # NAME: end all that runs there, as if its power failed
    kill -9 "${inits[$1]}" 2>/dev/null || true
}
leave() {
    local name
    for name in "${names[@]}"; do
        cut_off "$name"
        ip netns delete "$bridge$name" || true
    done
    ip link delete "$bridge" 2>/dev/null || true
    kill $(jobs -p) 2>/dev/null || true # what waits for something to begin
    wait
    rm -rf "$work"
}
bnexp_on() { on "$1" "$python" -m bnexp "${@:2}"; } # NAME ARGUMENT...
holds() { # WHAT COMMAND...: one line of the check's outcome
    if "${@:2}"; then echo "ok    $1"; else
        echo "FAIL  $1"
        failed=1
    fi
}
same() { # FOLDER: are its runs those that were trained without a cluster?
    "$python" - "$work/alone/small" "$work/$1/small" <<'PYTHON'
import sys
from pathlib import Path

from bnexp.store.folder import Store

alone, there = (Store(Path(one)) for one in sys.argv[1:])
times = {"wall_s", "examples_per_s"}
for one, other in zip(*(s.load(sorted(alone.done())) for s in (alone, there)), strict=True):
    for record in (one, other):
        record.provenance.clear()
        for name in times:
            record.metrics.pop(name)
    assert one == other, other.title
PYTHON
}
hosts() { grep -h '"host"' "$work/$1"/small/runs/*.json | sort | uniq -c | tr -s ' \n' ' '; }
failed=0

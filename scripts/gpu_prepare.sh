#!/usr/bin/env bash
# scripts/gpu_prepare.sh FOLDER: gather what a machine with a GPU, PyTorch and no network needs
# for scripts/gpu_check.sh:
#   wheels/       what bnexp imports beside what such a machine has (THERE below)
#   data.tar.gz   Fashion-MNIST and MNIST, where BNEXP_DATA_ROOT holds them
#   tree.tar.gz   this checkout without results/
# There, in this checkout or in the unpacked tree:
#   GPU_CHECK_PREPARED=FOLDER scripts/gpu_check.sh OUT
#
#   GPU_PYTHON  the version of Python there (default 3.12); "none" where the packages are there
#   PYTHON      an interpreter here with bnexp's packages (default .venv's, else python3)
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# -eq 1 ] || { sed -n '2,12s/^# \?//p' scripts/gpu_prepare.sh >&2; exit 2; }
mkdir -p "$1"
folder=$(cd "$1" && pwd)
version=${GPU_PYTHON:-3.12}
python=${PYTHON:-.venv/bin/python}
[ -x "$(command -v "$python")" ] || python=python3

wheels() {
    local wanted package platforms libc
    mkdir -p "$folder/wheels"
    wanted=$("$python" - <<'PYTHON'
"""Print what the package requires, and what that requires, as it is pinned here."""
import importlib.metadata
import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

THERE = {
    "matplotlib", "numpy", "pandas", "scikit-learn", "scipy", "statsmodels", "torch",
    "torchvision",
}


def key(name):
    return re.sub(r"[-_.]+", "-", name).lower()


pinned = dict(
    line.split("==") for line in Path("constraints.txt").read_text().split("\n") if "==" in line
)
versions = {key(name): version for name, version in pinned.items()}
project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
todo, found = [Requirement(one) for one in project["dependencies"]], set()
while todo:
    one = todo.pop()
    name = key(one.name)
    if name in THERE | found or (one.marker and not one.marker.evaluate({"extra": ""})):
        continue
    found.add(name)
    todo += map(Requirement, importlib.metadata.requires(name) or ())
print("\n".join(f"{name}=={versions[name]}" for name in sorted(found)))
PYTHON
)
    echo "gpu_prepare: $(wc -w <<< "$wanted") packages for Python $version"
    platforms=()
    for libc in 2_28 2_27 2_17; do platforms+=(--platform "manylinux_${libc}_x86_64"); done
    for package in $wanted; do
        "$python" -m pip download --quiet --disable-pip-version-check --no-deps --dest "$folder/wheels" \
            --only-binary=:all: --implementation cp --python-version "$version" \
            "${platforms[@]}" --platform manylinux2014_x86_64 "$package" 2> "$folder/pip.log" ||
            # Of some there is the source only, in Python: it is a wheel for every machine.
            "$python" -m pip wheel --quiet --disable-pip-version-check --no-deps \
                --wheel-dir "$folder/wheels" "$package" || { cat "$folder/pip.log" >&2; exit 1; }
    done
    rm -f "$folder/pip.log"
}
if [ "$version" != none ]; then wheels; fi

root=${BNEXP_DATA_ROOT:-}
if [ -d "$root/FashionMNIST/raw" ] && [ -d "$root/MNIST/raw" ]; then
    tar -C "$root" -czf "$folder/data.tar.gz" FashionMNIST/raw MNIST/raw
else
    echo "gpu_prepare: no data: BNEXP_DATA_ROOT names no folder with FashionMNIST and MNIST" >&2
fi

outside=(':(exclude)results')
case $folder/ in "$PWD"/*) outside+=(":(exclude)${folder#"$PWD"/}") ;; esac
git ls-files -z --cached --others --exclude-standard --deduplicate -- . "${outside[@]}" |
    xargs -0 -I{} sh -c '[ ! -e "$1" ] || printf "%s\0" "$1"' sh {} |
    tar --null --files-from - -czf "$folder/tree.tar.gz"
du -sh "$folder"/*

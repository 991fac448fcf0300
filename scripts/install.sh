#!/usr/bin/env bash
# scripts/install.sh [EXTRA]: make .venv and install bnexp into it, with the pinned versions
# of constraints.txt. Does nothing where that is already so.
set -euo pipefail
cd "$(dirname "$0")/.."
extra=${1:-}

# The last one of all that is new enough: its packages may not be there yet. torchvision
# excludes 3.14.1.
python=""
for newest in "3, 14" "3, 99"; do
    for candidate in python3 python3.14 python3.13 python3.12 python3.11; do
        if [ -z "$python" ] && "$candidate" -c "import sys; v = sys.version_info[:3]
sys.exit(not ((3, 11) <= v[:2] <= ($newest) and v != (3, 14, 1)))" 2>/dev/null; then
            python=$candidate
        fi
    done
done
if [ -z "$python" ]; then
    echo "bnexp needs Python 3.11 to 3.14 (but not 3.14.1): install one of them first" >&2
    exit 2
fi

stamp=.venv/.installed
wanted=$(cat pyproject.toml constraints.txt | "$python" -c 'import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest(), sys.version_info[:2])')
if [ -f "$stamp" ] && grep -qxF "$wanted $extra" "$stamp"; then
    exit 0
fi
echo "installing bnexp into .venv (PyTorch is large: a minute or more)"
[ -x .venv/bin/python ] || "$python" -m venv .venv
.venv/bin/python -m pip install --quiet --disable-pip-version-check \
    --constraint constraints.txt --editable ".${extra:+[$extra]}"
echo "$wanted $extra" >> "$stamp"

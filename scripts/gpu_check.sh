#!/usr/bin/env bash
# scripts/gpu_check.sh [OUT.json]: on a machine with a CUDA device, run the tests marked `gpu`
# (the equivalence of the cohort trainer among them) and the benchmark, and write one JSON.
# Takes the interpreter from PYTHON, or .venv, or the path: any with torch >= 2.11 and the
# packages of pyproject.toml. Data: BNEXP_DATA_ROOT.
set -uo pipefail
cd "$(dirname "$0")/.."
out=${1:-results/bench/gpu_check.json}
python=${PYTHON:-.venv/bin/python}
[ -x "$(command -v "$python")" ] || python=python3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' || {
    echo "gpu_check: PyTorch sees no CUDA device here" >&2
    exit 2
}
"$python" -m pytest -m gpu tests/train tests/doctor --junitxml "$work/tests.xml" -p no:cacheprovider
tests=$?
"$python" -m bnexp bench device=cuda results_dir="$work" | tee "$work/bench.txt"
bench=$?
mkdir -p "$(dirname "$out")"
"$python" - "$work" "$out" "$tests" "$bench" <<'PYTHON'
import json, pathlib, sys
import xml.etree.ElementTree as ET

work, out, tests, bench = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), *map(int, sys.argv[3:])
suite = ET.parse(work / "tests.xml").getroot().find("testsuite")
counts = {key: int(suite.get(key)) for key in ("tests", "failures", "errors", "skipped")}
measured = work / "bench" / "cuda.json"
result = {
    "tests": counts | {"exit_code": tests},
    "bench": json.loads(measured.read_text()) if bench == 0 else None,
}
out.write_text(json.dumps(result, indent=1) + "\n")
print(f"written: {out}")
PYTHON
[ "$tests" -eq 0 ] && [ "$bench" -eq 0 ]

#!/usr/bin/env bash
# scripts/quickstart.sh: from a fresh clone with only Python 3.11 to 3.14 to a report.
# Trains 20 small networks on scikit-learn's digits, in under a minute on two cores.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/install.sh
.venv/bin/bnexp run study=quickstart
echo "$PWD/results/quickstart/report.html"

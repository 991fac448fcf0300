#!/usr/bin/env bash
# scripts/test.sh [PYTEST ARGUMENT ...]: environment, install, checks and the test suite.
# Tests on Fashion-MNIST and MNIST run where BNEXP_DATA_ROOT holds them. `-m "not long"` adds
# the thorough ones, more cases of laws that others hold too; `-m ""` adds what takes minutes or
# machines of its own: kill moments, faults by the clock, clusters, packages, grids of coverage.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/install.sh dev
scripts/browser.sh
.venv/bin/ruff check .
.venv/bin/ruff format --check .
.venv/bin/mypy
.venv/bin/lint-imports
.venv/bin/python -m pytest --numprocesses auto "$@"

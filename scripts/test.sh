#!/usr/bin/env bash
# scripts/test.sh [PYTEST ARGUMENT ...]: environment, install, checks and the test suite.
# Tests on Fashion-MNIST and MNIST run where BNEXP_DATA_ROOT holds them. `scripts/test.sh -m ""`
# adds the thorough ones: more cases of laws that others hold too.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/install.sh dev
scripts/browser.sh
.venv/bin/ruff check .
.venv/bin/ruff format --check .
.venv/bin/mypy
.venv/bin/lint-imports
.venv/bin/python -m pytest --numprocesses auto "$@"

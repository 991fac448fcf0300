#!/usr/bin/env bash
# scripts/site.sh: build the site into outputs/site/html: findings, the page of every published
# study, the lesson, and what keys, columns, statistics and functions mean. A dead link is an
# error. What builds it has an environment of its own, with the versions of scripts/site.txt.
# The first time takes about ten minutes on two cores; later, what is current is kept.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/install.sh notebook
site=outputs/site
mkdir -p "$site/sources"
if ! cmp -s scripts/site.txt "$site/venv/installed.txt"; then
    .venv/bin/python -m venv --clear "$site/venv"
    "$site/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
        --requirement scripts/site.txt
    cp scripts/site.txt "$site/venv/installed.txt"
fi
.venv/bin/python scripts/site.py sources "$site/sources"
"$site/venv/bin/mkdocs" build --quiet --strict --config-file scripts/site.yml
.venv/bin/python scripts/site.py links "$site/html"
echo "$PWD/$site/html/index.html"

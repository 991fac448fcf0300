#!/usr/bin/env bash
# scripts/browser.sh: install a Chromium for the tests of the page, where there is none and
# this user may. Without one these tests are skipped, so nothing here is an error.
set -euo pipefail
for name in chromium chromium-browser google-chrome google-chrome-stable; do
    if command -v "$name" >/dev/null; then
        exit 0
    fi
done
as_root=()
if [ "$(id -u)" != 0 ]; then
    as_root=(sudo -n)
fi
if ! command -v apt-get >/dev/null || ! "${as_root[@]}" true 2>/dev/null; then
    echo "no Chromium here, and none can be installed: the tests in a browser are skipped"
    exit 0
fi
echo "installing Chromium for the tests in a browser"
export DEBIAN_FRONTEND=noninteractive
if ! { "${as_root[@]}" apt-get update -qq &&
    "${as_root[@]}" apt-get install -y -qq --no-install-recommends chromium; } >/dev/null 2>&1; then
    echo "Chromium cannot be installed: the tests in a browser are skipped"
fi

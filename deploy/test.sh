#!/usr/bin/env bash
# Everything that the whole suite needs, then the suite. Arguments go to pytest.
# What is not there makes its tests skipped, with the reason, or failed where PARLEY_REQUIRE_ALL=1.
set -euo pipefail
cd "$(dirname "$0")/.."

deploy/install.sh test
deploy/models.sh
exec .venv/bin/python -m pytest "$@" </dev/null

#!/usr/bin/env bash
# Random operations against the extension and against a model of its rules; every answer is compared.
# The seed is printed; MODEL_SEED replays one, MODEL_OPERATIONS runs more.
# shellcheck source-path=SCRIPTDIR
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib/common.sh"
. "$HOLDFAST_ROOT/scripts/lib/packages.sh"

ensure_npm "$HOLDFAST_ROOT/tests/model"
# A fresh seed each time, so that every run looks elsewhere.
node "$HOLDFAST_ROOT/tests/model/model.mjs" --operations "${MODEL_OPERATIONS:-5000}" ${MODEL_SEED:+--seed "$MODEL_SEED"}

#!/bin/bash
# The first machine of a Ray cluster, until Ctrl-C: docs/scale/ray_head.sh [PORT]
# Ray asks every other machine and every run for the token that it keeps in ~/.ray/auth_token here: copy that file to the
# other machines. Whoever has it can run code here; use a private network.
set -euo pipefail
export RAY_USAGE_STATS_ENABLED=0 RAY_AUTH_MODE=token
exec ray start --head --port "${1:-6379}" --include-dashboard false --disable-usage-stats --block

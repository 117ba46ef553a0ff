#!/bin/bash
# One more machine of a Ray cluster, until Ctrl-C; it may come and go while a run is under way:
#   docs/scale/ray_worker.sh FIRST-MACHINE[:PORT] [CPUS]
# It needs the first machine's ~/.ray/auth_token.
set -euo pipefail
export RAY_USAGE_STATS_ENABLED=0 RAY_AUTH_MODE=token
address=$1
[[ $address == *:* ]] || address=$address:6379
exec ray start --address "$address" ${2:+--num-cpus "$2"} --block

#!/bin/bash
# Run a command as in a container whose /dev/shm has Docker's 64 MB (needs root; ends with the command):
#   docs/scale/small_shm.sh cdr-eval grid --executor ray
set -euo pipefail
exec unshare --mount bash -c 'mount -t tmpfs -o size=64m tmpfs /dev/shm && exec "$@"' shm "$@"

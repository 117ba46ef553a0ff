#!/bin/bash
#SBATCH --array=1-8
#SBATCH --gres=gpu:1
#SBATCH --cpus-per-task=4
# Score a part of a run in each task of an array; whatever machines they are on, they share one store:
#   job=$(sbatch --parsable docs/scale/slurm_array.sh pair --strong X --weak Y --task T --store /shared/scores)
# and once all of them are through, the report, which scores nothing again:
#   sbatch --dependency=afterok:$job --wrap "cdr-eval pair --strong X --weak Y --task T --store /shared/scores"
# A task that was killed or requeued goes on where it was. Tasks take over what a dead one had claimed.
set -euo pipefail
exec cdr-eval "$@" --shard "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT" --quiet

#!/usr/bin/env bash
# From the checkout, with the environment that has sam2vss and Ray active on all machines:
#   sbatch docs/cluster/slurm.sh study --profile vspw --out results
#   sbatch docs/cluster/slurm.sh masklets --dataset data/VSPW_480p --checkpoint sam2.1_hiera_large --out masklets
# Any command with --ray will do. When the job's time is over, submit it again: finished clips stay.
#SBATCH --job-name=sam2vss
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=32
#SBATCH --time=2-00:00:00
set -euo pipefail

head_node=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
address=$head_node:${SAM2VSS_RAY_PORT:-6379}
# the machines know each other by a token in the home folder, which they share
export RAY_AUTH_MODE=token
ray get-auth-token --generate >/dev/null
# starts Ray on every machine, runs the command on the first one, stops Ray again
srun --kill-on-bad-exit=1 ray symmetric-run --address "$address" --min-nodes "$SLURM_JOB_NUM_NODES" \
    --num-cpus "$SLURM_CPUS_PER_TASK" -- sam2vss "$@" --ray "$address"

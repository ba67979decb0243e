#!/usr/bin/env bash
# Trains on all workers of a Cloud TPU VM slice.
#
#   launch/tpu.sh TPU CONFIG --workdir DIR [--config.key=value ...]
#
# On each worker the program SMARTIES (default: .venv/bin/smarties) starts in FOLDER (default:
# smarties, in the home folder); DIR is on a file system that the workers share. A run that leaves
# with 75 (saved, asked to leave) starts again. SIGTERM and SIGINT are passed on, and are the end.
set -euo pipefail

if (($# < 2)); then
    sed -n '2,/^set/p' "$0" | grep '^#' | cut -c3- >&2
    exit 2
fi
tpu=$1 config=$2
shift 2
read -ra smarties <<<"${SMARTIES:-.venv/bin/smarties}"
printf -v train ' %q' "${smarties[@]}" train --config "$config" "$@"
printf -v folder '%q' "${FOLDER:-smarties}"

on_workers() {
    gcloud compute tpus tpu-vm ssh "$tpu" --worker=all --command="cd $folder && $1" </dev/null
}

set -m # a process group of its own: Ctrl-C is for this script
told=0
trap 'told=1; on_workers "kill -TERM \$(cat train.pid)" || true' TERM INT
while true; do
    on_workers "echo \$\$ >train.pid && exec env SMARTIES_DISTRIBUTED=1$train" &
    while true; do
        code=0
        wait $! || code=$?
        if ((code <= 128)) || ! kill -0 $! 2>/dev/null; then break; fi
    done
    if ((code != 75 || told)); then exit "$code"; fi
done

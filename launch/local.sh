#!/usr/bin/env bash
# Trains with several processes on this machine.
#
#   launch/local.sh N CONFIG [--workdir DIR] [--config.key=value ...]
#
# NVIDIA GPUs are dealt out evenly; without any, every process runs on the CPU. Rank 0 speaks here,
# rank r into rank-r.log of the folder LOGS (default: a temporary one). SIGTERM and SIGINT are passed
# on. The exit code is that of the first process that fails; when it is 75 (saved, asked to leave),
# RESTART=1 gives the same command again.
set -euo pipefail

if (($# < 2)); then
    sed -n '2,/^set/p' "$0" | grep '^#' | cut -c3- >&2
    exit 2
fi
count=$1 config=$2
shift 2
read -ra smarties <<<"${SMARTIES:-smarties}"
logs=${LOGS:-$(mktemp -d)}
mkdir -p "$logs"
gpus=0
if command -v nvidia-smi >/dev/null; then gpus=$(nvidia-smi --list-gpus | wc -l); fi
share=$((gpus / count))
if ((gpus == 0)); then
    export JAX_PLATFORMS=cpu
elif ((gpus % count)); then
    echo "launch/local.sh: $gpus GPUs cannot be dealt out evenly to $count processes" >&2
    exit 2
fi

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("", 0)); print(s.getsockname()[1])'
}

start() { # rank address arguments...
    local rank=$1 address=$2
    shift 2
    trap '' INT # Ctrl-C reaches everyone in the terminal, and would end them unsaved
    export JAX_COORDINATOR_ADDRESS=$address JAX_NUM_PROCESSES=$count JAX_PROCESS_ID=$rank
    if ((share)); then
        CUDA_VISIBLE_DEVICES=$(seq -s, $((rank * share)) $((rank * share + share - 1)))
        export CUDA_VISIBLE_DEVICES
    fi
    if ((rank)); then exec >>"$logs/rank-$rank.log" 2>&1; fi
    exec "${smarties[@]}" train --config "$config" "$@"
}

# Waits for all; after the first failure the others get some seconds to end by themselves.
attend() {
    local code=0 pid ended deadline=0
    local -a left=("${pids[@]}")
    while ((${#left[@]})); do
        sleep 0.1
        local running=" $(jobs -rp | tr '\n' ' ')"
        local -a still=()
        for pid in "${left[@]}"; do
            if [[ $running == *" $pid "* ]]; then
                still+=("$pid")
                continue
            fi
            ended=0
            wait "$pid" || ended=$?
            if ((ended && !code)); then
                code=$ended
                deadline=$((SECONDS + (code == 75 ? 60 : 5)))
            fi
        done
        left=("${still[@]}")
        if ((code && SECONDS > deadline && ${#left[@]})); then kill -KILL "${left[@]}" || true; fi
    done
    return "$code"
}

while true; do
    address=localhost:$(free_port)
    pids=()
    for ((rank = 0; rank < count; rank++)); do
        start "$rank" "$address" "$@" &
        pids+=($!)
    done
    told=0
    trap 'told=1; kill -TERM "${pids[@]}" 2>/dev/null || true' TERM INT
    code=0
    attend || code=$?
    trap - TERM INT
    if ((code && code != 75)); then echo "launch/local.sh: a process ended with $code; logs in $logs" >&2; fi
    if ((code != 75 || told)) || [[ ${RESTART:-0} != 1 ]]; then exit "$code"; fi
done

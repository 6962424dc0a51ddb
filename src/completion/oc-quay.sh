#!/bin/sh
# Completion of `oc quay` and `kubectl quay`. Install it, executable, on the PATH as oc_complete-quay for oc and as
# kubectl_complete-quay for kubectl; their own completion must be enabled.
program=$(command -v oc-quay || command -v kubectl-quay) || exit 0
exec "$program" __complete "$@" 2>/dev/null

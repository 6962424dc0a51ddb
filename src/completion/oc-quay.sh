#!/bin/sh
# Completion of `oc quay` and `kubectl quay`. Put this, executable, on the PATH as oc_complete-quay for oc and as
# kubectl_complete-quay for kubectl; their own completion has to be on.
program=$(command -v oc-quay || command -v kubectl-quay) || exit 0
exec "$program" __complete "$@" 2>/dev/null

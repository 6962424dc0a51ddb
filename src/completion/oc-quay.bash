# Completion of `oc-quay` for bash 4 or later. Save it as ~/.local/share/bash-completion/completions/oc-quay, or
# add to ~/.bashrc: source <(oc-quay completion bash)
_oc_quay() {
    # Bash splits words at = and :, the program does not.
    local line=${COMP_LINE:0:COMP_POINT} words value
    read -ra words <<<"$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    local last=${words[-1]}
    local before=${last%"$2"}
    COMPREPLY=()
    while IFS= read -r line; do
        case $line in
        :*) (((${line#:} & 2) != 0)) && compopt -o nospace ;;
        *)
            value=${line%%$'\t'*}
            COMPREPLY+=("${value#"$before"}")
            ;;
        esac
    done < <("$1" __complete "${words[@]:1}" 2>/dev/null)
}
complete -F _oc_quay oc-quay

#compdef oc-quay
# Completion of `oc-quay` for zsh. Save it as _oc-quay in a directory of $fpath, or add to ~/.zshrc, after
# compinit: source <(oc-quay completion zsh)
_oc-quay() {
    local -a candidates suffix
    local line value
    for line in "${(@f)$("${words[1]}" __complete "${(@Q)words[2,CURRENT]}" 2>/dev/null)}"; do
        if [[ $line == :* ]]; then
            (( ${line#:} & 2 )) && suffix=(-S '')
        elif [[ -n $line ]]; then
            value=${${line%%$'\t'*}//:/\\:}
            [[ $line == *$'\t'* ]] && value+=:${line#*$'\t'}
            candidates+=($value)
        fi
    done
    _describe -V 'oc quay' candidates $suffix
}

if [[ $funcstack[1] == _oc-quay ]]; then
    _oc-quay "$@"
else
    compdef _oc-quay oc-quay
fi

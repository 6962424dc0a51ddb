# Completion of `oc-quay` for fish 3.4 or later. Save it as ~/.config/fish/completions/oc-quay.fish, or add
# to ~/.config/fish/config.fish: oc-quay completion fish | source
function __oc_quay_complete
    set --local words (commandline --current-process --tokenize --cut-at-cursor)
    $words[1] __complete $words[2..] "$(commandline --current-token --cut-at-cursor)" 2>/dev/null |
        string match --invert --regex '^:\d+$'
end
complete --command oc-quay --no-files --keep-order --arguments '(__oc_quay_complete)'

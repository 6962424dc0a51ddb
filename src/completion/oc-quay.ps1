# Completion of `oc-quay` for PowerShell. Add to your $PROFILE:
# oc-quay completion powershell | Out-String | Invoke-Expression
Register-ArgumentCompleter -Native -CommandName 'oc-quay' -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)
    $words = @($commandAst.CommandElements | Where-Object { $_.Extent.EndOffset -le $cursorPosition } |
        ForEach-Object { $_.ToString() })
    if ($wordToComplete -eq '') {
        # PowerShell before 7.3 drops empty arguments.
        $isLegacy = $PSVersionTable.PSVersion -lt [version]'7.3' -or $PSNativeCommandArgumentPassing -eq 'Legacy'
        $words += if ($isLegacy) { '""' } else { '' }
    }
    $program, $rest = $words
    & $program __complete @rest 2>$null | Where-Object { $_ -notmatch '^:\d+$' } | ForEach-Object {
        $value, $help = $_ -split "`t", 2
        if (-not $help) { $help = $value }
        [System.Management.Automation.CompletionResult]::new($value, $value, 'ParameterValue', $help)
    }
}

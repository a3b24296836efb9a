// The scripts that `tunl completion SHELL` prints. Each passes the words to `tunl __complete` as they are, and never evaluates
// them: a command substitution that was typed must not run at the TAB key.

const BASH = `# tunl: completion for bash 3.2 and newer. In ~/.bashrc: source <(tunl completion bash)
_tunl() {
  local line files=
  COMPREPLY=()
  while IFS= read -r line; do
    case $line in
      :files) files=1 ;;
      ?*) COMPREPLY+=("\${line%%$'\\t'*}") ;;
    esac
  done < <(tunl __complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
  # Without candidates bash completes a file name, unless it is told not to.
  if [[ -z $files ]]; then compopt +o default 2>/dev/null; fi
  # More follows: \`trainer:8000\`.
  if [[ \${#COMPREPLY[@]} -eq 1 && \${COMPREPLY[0]} == *: ]]; then compopt -o nospace 2>/dev/null; fi
}
complete -o default -F _tunl tunl
`;

const ZSH = `#compdef tunl
# tunl: completion for zsh. In ~/.zshrc: source <(tunl completion zsh)
_tunl() {
  local line files=
  local -a described begun
  for line in "\${(@f)$(tunl __complete -- "\${(@Q)words[2,CURRENT]}" 2>/dev/null)}"; do
    case $line in
      :files) files=1 ;;
      *:$'\\t'*) begun+=("\${\${line%%$'\\t'*}//:/\\\\:}:\${line#*$'\\t'}") ;;
      ?*) described+=("\${\${line%%$'\\t'*}//:/\\\\:}:\${line#*$'\\t'}") ;;
    esac
  done
  (( $#described )) && _describe -V tunl described
  # More follows: \`trainer:8000\`.
  (( $#begun )) && _describe -V tunl begun -S ''
  if [[ -n $files ]]; then
    compset -P '--*='
    _files
  fi
}
if [[ $funcstack[1] == _tunl ]]; then
  _tunl "$@"
else
  (( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
  compdef _tunl tunl
fi
`;

const FISH = `# tunl: completion for fish. In ~/.config/fish/config.fish: tunl completion fish | source
function __tunl_complete
    set -l words (commandline -opc)
    set -l last (commandline -ct)
    for line in (tunl __complete -- $words[2..] "$last" 2>/dev/null)
        if test "$line" = :files
            set -l prefix (string match -r -- '^--[^=]*=' "$last")
            for path in (__fish_complete_path (string replace -r -- '^--[^=]*=' '' "$last"))
                printf '%s%s\\n' "$prefix" "$path"
            end
        else
            printf '%s\\n' "$line"
        end
    end
end
complete -c tunl -f -a '(__tunl_complete)'
`;

const POWERSHELL = `# tunl: completion for PowerShell. In $PROFILE: tunl completion powershell | Out-String | Invoke-Expression
Register-ArgumentCompleter -Native -CommandName tunl -ScriptBlock {
  param($wordToComplete, $commandAst, $cursorPosition)
  $words = @($commandAst.CommandElements | Select-Object -Skip 1 |
    Where-Object { $_.Extent.StartOffset -lt $cursorPosition } | ForEach-Object { $_.ToString() })
  # An empty argument may be lost on its way to a program, so a switch stands for it.
  $new = @(if ($wordToComplete -eq '') { '--new' })
  $lines = @(& tunl __complete @new '--' @words 2>$null)
  foreach ($line in $lines) {
    if ($line -eq ':files') {
      [System.Management.Automation.CompletionCompleters]::CompleteFilename($wordToComplete)
      continue
    }
    $value, $about = $line -split "\`t", 2
    if (-not $about) { $about = $value }
    [System.Management.Automation.CompletionResult]::new($value, $value, 'ParameterValue', $about)
  }
}
`;

export const SHELLS = ['bash', 'zsh', 'fish', 'powershell'] as const;
export type Shell = (typeof SHELLS)[number];

export const SCRIPTS: Readonly<Record<Shell, string>> = {
  bash: BASH,
  zsh: ZSH,
  fish: FISH,
  powershell: POWERSHELL,
};

package main

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"
)

func (p *program) completion() *cli.Command {
	shell := func(name, how string, script func(*cli.App) (string, error)) *cli.Command {
		return &cli.Command{
			Name: name, Usage: how, HideHelpCommand: true, OnUsageError: onUsageError,
			Action: p.verb("completion", func(k *call) error {
				s, err := script(k.App)
				if err != nil {
					return fmt.Errorf("make completion for %s: %w", name, err)
				}
				_, err = fmt.Fprint(p.stdout, s)
				return err
			}),
		}
	}
	return &cli.Command{
		Name:  "completion",
		Usage: "print a shell's completion script: completion bash, zsh or fish",
		Description: "  bash  . <(dovemend completion bash)\n" +
			"  zsh   . <(dovemend completion zsh)\n" +
			"  fish  dovemend completion fish > ~/.config/fish/completions/dovemend.fish",
		Subcommands: []*cli.Command{
			shell("bash", "for bash", func(*cli.App) (string, error) { return bashCompletion, nil }),
			shell("zsh", "for zsh", func(*cli.App) (string, error) { return zshCompletion, nil }),
			shell("fish", "for fish", fishCompletion),
		},
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return &usageError{text: fmt.Sprintf("no completion for %q: bash, zsh or fish", c.Args().First()), hint: "dovemend completion bash"}
			}
			return &usageError{text: "which shell: bash, zsh or fish", hint: "dovemend completion bash"}
		},
	}
}

func fishCompletion(app *cli.App) (string, error) {
	s, err := app.ToFishCompletion()
	return strings.TrimLeft(s, "\n"), err
}

const bashCompletion = `# dovemend: completion for bash
_dovemend() {
  local cur=${COMP_WORDS[COMP_CWORD]} words=("${COMP_WORDS[@]:0:COMP_CWORD}") out
  if [[ $cur == -* ]]; then words+=("$cur"); fi
  out=$("${words[@]}" --generate-bash-completion 2>/dev/null)
  COMPREPLY=($(compgen -W "$(printf '%s\n' "$out" | sed 's/:.*//')" -- "$cur"))
}
complete -o bashdefault -o default -F _dovemend dovemend
`

const zshCompletion = `#compdef dovemend
_dovemend() {
  local -a opts
  local cur=${words[CURRENT]}
  if [[ $cur == -* ]]; then
    opts=("${(@f)$(${words[@]:0:#words[@]-1} ${cur} --generate-bash-completion 2>/dev/null)}")
  else
    opts=("${(@f)$(${words[@]:0:#words[@]-1} --generate-bash-completion 2>/dev/null)}")
  fi
  if [[ -n ${opts[1]} ]]; then
    _describe 'values' opts
  else
    _files
  fi
}
compdef _dovemend dovemend
`

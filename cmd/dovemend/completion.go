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
			shell("bash", "for bash", func(*cli.App) (string, error) {
				return strings.Replace(bashCompletion, "VALUES\n", valueCases(`COMPREPLY=($(compgen -W "%s" -- "$cur"))`), 1), nil
			}),
			shell("zsh", "for zsh", func(*cli.App) (string, error) {
				return strings.Replace(zshCompletion, "VALUES\n", valueCases("compadd -- %s"), 1), nil
			}),
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
	s = strings.ReplaceAll(strings.TrimLeft(s, "\n"), "`", "")
	for _, v := range flagValues {
		s += fmt.Sprintf("complete -c dovemend -n '__fish_seen_subcommand_from wizard backup repair resume undo' -x -l %s -a '%s'\n", v[0], v[1])
	}
	return s, err
}

// flagValues are the flags that take one of a few words.
var flagValues = [][2]string{
	{"remedy", "drop-cache drop-index clear"}, {"accept-loss", "flags keywords uids messages"},
	{"imap-tls", "tls starttls none"}, {"preauth", "auto off"}, {"verify", "auto full"},
}

// valueCases is what the scripts for bash and zsh do where such a flag stands before the word; do holds a %s for the words.
func valueCases(do string) string {
	var b strings.Builder
	for _, v := range flagValues {
		fmt.Fprintf(&b, "    --%s) "+do+"; return ;;\n", v[0], v[1])
	}
	return b.String()
}

const bashCompletion = `# dovemend: completion for bash
_dovemend() {
  local cur=${COMP_WORDS[COMP_CWORD]} words=("${COMP_WORDS[@]:0:COMP_CWORD}") out
  case ${COMP_WORDS[COMP_CWORD-1]} in
VALUES
  esac
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
  case ${words[CURRENT-1]} in
VALUES
  esac
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

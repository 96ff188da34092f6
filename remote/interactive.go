package remote

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"
)

const (
	// maxRounds bounds how often a host may put questions within one attempt, and maxQuestions how many at a time.
	maxRounds    = 10
	maxQuestions = 10
)

// secret puts a question whose answer is not shown.
func (a *login) secret(ctx context.Context, prompt string) (string, error) {
	defer a.pause()()
	s, err := a.ask.Secret(ctx, prompt)
	if err != nil {
		return "", fmt.Errorf("ask for it: %w", err)
	}
	return s, nil
}

// known gives again what the host accepted before, when the connection is made anew.
func (a *login) known() (ssh.AuthMethod, error) {
	s, ok := a.creds.secret(a.hop.addr())
	if !ok {
		return nil, nil
	}
	return a.giveSecret(s), nil
}

// given gives Config.Password, to the host itself and only once: a second time could lock the account.
func (a *login) given() (ssh.AuthMethod, error) {
	can := a.hop.password && a.offers("password") || a.hop.keyboard && a.offers("keyboard-interactive")
	if a.cfg.Password == nil || !a.hop.final || !can || !a.creds.takePassword() {
		return nil, nil
	}
	s, err := a.cfg.Password(a.ctx)
	if err != nil {
		return nil, fmt.Errorf("get the password: %w", err)
	}
	return a.giveSecret(s), nil
}

// giveSecret hands over a password without asking; nil where the host takes none.
func (a *login) giveSecret(s string) ssh.AuthMethod {
	switch {
	case s == "":
		return nil
	case a.hop.password && a.offers("password"):
		a.tried = append(a.tried, "the password given")
		a.current = &attempt{secret: s}
		return ssh.Password(s)
	case a.hop.keyboard && a.offers("keyboard-interactive"):
		a.tried = append(a.tried, "the password given")
		at := &attempt{secret: s, kbd: true}
		a.current = at
		return ssh.KeyboardInteractive(a.challenge(at))
	}
	return nil
}

// keyboard lets the host put its questions to the person.
func (a *login) keyboard() (ssh.AuthMethod, error) {
	if !a.hop.keyboard || a.noKbd || a.ask == nil || !a.offers("keyboard-interactive") || a.asked >= a.hop.prompts {
		return nil, nil
	}
	at := &attempt{kbd: true, quiet: true}
	a.current = at
	return ssh.KeyboardInteractive(a.challenge(at)), nil
}

// challenge answers the host's questions: the first that can only mean the password with at.secret, the others by asking.
func (a *login) challenge(at *attempt) ssh.KeyboardInteractiveChallenge {
	rounds, given := 0, false
	return func(name, instruction string, questions []string, echos []bool) ([]string, error) {
		if rounds++; rounds > maxRounds || len(questions) > maxQuestions {
			return nil, errors.New("the host asks too much")
		}
		answers := make([]string, len(questions))
		for i, q := range questions {
			if at.secret != "" && !given && !echos[i] && !asksForCode(q) {
				answers[i], given = at.secret, true
				continue
			}
			if a.ask == nil {
				return nil, fmt.Errorf("the host asks %q, and nobody can be asked", Safe(q))
			}
			if at.quiet {
				at.quiet = false
				a.asked++
				a.tried = append(a.tried, "keyboard-interactive")
			}
			var err error
			if answers[i], err = a.question(name, instruction, q, echos[i]); err != nil {
				a.stop = err
				return nil, err
			}
			if at.typed = append(at.typed, answers[i]); echos[i] || asksForCode(q) {
				at.typed = append(at.typed, "") // more than a password: of no use a second time
			}
		}
		return answers, nil
	}
}

func (a *login) question(name, instruction, q string, echo bool) (string, error) {
	prompt := fmt.Sprintf("%s@%s asks: %s", Safe(a.hop.user), Safe(a.hop.alias), promptText(q))
	if text := strings.TrimSpace(name + " " + instruction); text != "" {
		prompt = fmt.Sprintf("%s@%s says: %s\n%s", Safe(a.hop.user), Safe(a.hop.alias), safeText(text, 1000, true), prompt)
	}
	if !echo {
		return a.secret(a.ctx, prompt)
	}
	defer a.pause()()
	s, err := a.ask.Line(a.ctx, prompt)
	if err != nil {
		return "", fmt.Errorf("ask for it: %w", err)
	}
	return s, nil
}

// promptText makes the host's prompt safe and takes the colon off its end, which the terminal's side adds.
func promptText(q string) string {
	return safeText(strings.TrimRight(strings.TrimSpace(q), ": "), 300, false)
}

// asksForCode says whether a hidden question asks for something other than the password: a one-time code.
func asksForCode(q string) bool {
	q = strings.ToLower(q)
	for _, word := range []string{"code", "token", "otp", "one-time", "one time", "pin", "verification", "factor", "duo", "new password", "neues passwort"} {
		if strings.Contains(q, word) {
			return true
		}
	}
	return false
}

// password asks for the password.
func (a *login) password() (ssh.AuthMethod, error) {
	if !a.hop.password || a.ask == nil || !a.offers("password") || a.asked >= a.hop.prompts {
		return nil, nil
	}
	prompt := fmt.Sprintf("Password of %s@%s", Safe(a.hop.user), Safe(a.hop.alias))
	if a.asked > 0 {
		prompt = "That was not it. " + prompt
	}
	a.asked++
	s, err := a.secret(a.ctx, prompt)
	if err != nil {
		return nil, err
	}
	if s == "" { // an empty answer means: no password
		a.asked = a.hop.prompts
		return nil, nil
	}
	a.tried = append(a.tried, "a password")
	a.current = &attempt{secret: s}
	return ssh.Password(s), nil
}

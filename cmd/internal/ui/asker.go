package ui

import (
	"context"
	"fmt"

	"dovemend/remote"
)

// Asker is the [remote.Asker] that asks through a [Prompter].
type Asker struct{ Prompter Prompter }

var _ remote.Asker = Asker{}

// HostKey implements [remote.Asker].
func (a Asker) HostKey(ctx context.Context, q remote.HostKeyQuestion) (bool, error) {
	return a.Prompter.Confirm(ctx, Question{
		Title: fmt.Sprintf("Trust this key of %s?", q.Host),
		Help: fmt.Sprintf("The host %s has not been seen before. Its %s key has the fingerprint\n  %s\n"+
			"Compare it with what your hosting company publishes. Yes remembers it; no ends here, and nothing was sent.",
			q.Host, q.Type, q.Fingerprint),
		Flag: "--accept-new-host-key, or by adding the key to the known hosts file yourself",
	})
}

// Secret implements [remote.Asker].
func (a Asker) Secret(ctx context.Context, prompt string) (string, error) {
	return a.Prompter.Secret(ctx, Question{Title: prompt,
		Flag: "--ssh-password-command, DOVEMEND_SSH_PASSWORD or a key in the ssh agent"})
}

// Line implements [remote.Asker].
func (a Asker) Line(ctx context.Context, prompt string) (string, error) {
	return a.Prompter.Line(ctx, Question{Title: prompt, Flag: "--ssh-password-command"}, nil)
}

package remotetest

import (
	"fmt"
	"testing"
)

// outcome notes how a test would end.
type outcome struct {
	testing.TB
	how string
}

func (o *outcome) Helper()                        {}
func (o *outcome) Fatalf(format string, a ...any) { o.end("fatal: " + fmt.Sprintf(format, a...)) }
func (o *outcome) Skip(a ...any)                  { o.end("skip: " + fmt.Sprint(a...)) }
func (o *outcome) end(how string) {
	if o.how == "" {
		o.how = how
	}
}

func TestMissingPartsSkipUnlessRequired(t *testing.T) {
	for _, c := range []struct {
		required, want string
		parts          []string
	}{
		{"", "skip: no sshd", []string{"sshd", "dovecot"}},
		{"dovecot", "skip: no sshd", []string{"sshd"}},
		{"sshd,dovecot", "fatal: DOVEMEND_TEST_REQUIRE=sshd,dovecot, but: no sshd", []string{"sshd"}},
		{"dovecot, sshd", "fatal: DOVEMEND_TEST_REQUIRE=dovecot, sshd, but: no sshd", []string{"sshd"}},
	} {
		t.Setenv("DOVEMEND_TEST_REQUIRE", c.required)
		o := &outcome{TB: t}
		need(o, c.parts, "no sshd")
		if o.how != c.want {
			t.Errorf("with %q: %s, want %s", c.required, o.how, c.want)
		}
	}
}

package repair

import (
	"testing"

	"dovemend/repair/store"
)

func TestPasswordIsAskedForOnceHoweverOftenAConnectionIsMade(t *testing.T) {
	asked := 0
	r := Seer{Account: store.Account{Address: "anna@example.org"}, IMAP: IMAPOptions{
		Addr: "127.0.0.1:1", TLS: "none", Password: func() (string, error) { asked++; return "secret", nil }}}
	l, why := r.login()
	if l == nil {
		t.Fatal(why)
	}
	for range 3 {
		if c, err := l.dial(t.Context()); err == nil {
			c.Close()
			t.Fatal("something answers at port 1")
		}
	}
	if asked != 1 {
		t.Errorf("the person was asked %d times", asked)
	}
}

package main

import (
	"bytes"
	"encoding/json"
	"testing"
)

func TestJSONHoldsNothingATerminalObeys(t *testing.T) {
	const name = "a\x1b[31m\u009b31m\x7f\u202eb\u200d\U000e0041 Entwürfe 日本 <>&"
	var out bytes.Buffer
	p := &program{stdout: &out}
	if err := p.writeJSON(&runDocument{Account: name}); err != nil {
		t.Fatal(err)
	}
	for _, r := range out.String() {
		if r != '\n' && !printableJSON(r) {
			t.Errorf("%U is written as it is", r)
		}
	}
	if !bytes.Contains(out.Bytes(), []byte("Entwürfe 日本 <>&")) {
		t.Errorf("what is fit to print is not as it was: %s", out.Bytes())
	}
	var back runDocument
	if err := json.Unmarshal(out.Bytes(), &back); err != nil || back.Account != name {
		t.Errorf("got %q, %v", back.Account, err)
	}
}

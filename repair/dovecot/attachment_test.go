package dovecot

import (
	"errors"
	"io"
	"io/fs"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"
)

// memFS is a directory of files in memory.
type memFS map[string][]byte

func (m memFS) Open(name string) (fs.File, error) {
	all := fstest.MapFS{}
	for k, v := range m {
		all[k] = &fstest.MapFile{Data: v}
	}
	return all.Open(name)
}

func TestParseAttachmentsReadsUpToDamage(t *testing.T) {
	one := Attachment{127, 6779, 60, false, "22/43/h-g"}
	tests := []struct {
		text string
		want []Attachment
		bad  bool
	}{
		{"", nil, false},
		{"127 6779 B60 22/43/h-g", []Attachment{one}, false},
		{"127 6779 B60 22/43/h-g 6972 6890 CB60 a 13903 3600 - b", []Attachment{one, {6972, 6890, 60, true, "a"}, {13903, 3600, 0, false, "b"}}, false},
		{"0 0 B4C a 0 1 C b", []Attachment{{0, 0, 4, true, "a"}, {0, 1, 0, true, "b"}}, false},
		{"127 6779 B60 22/43/h-g 6905 1 - a", []Attachment{one}, true},
		{"127 6779 B60 22/43/h-g 6906 1", []Attachment{one}, true},
		{"127 6779 B60 22/43/h-g ", []Attachment{one}, true},
		{"127 6779 B61 a", nil, true},
		{"127 6779 B a", nil, true},
		{"127 6779 B0 a", nil, true},
		{"127 6779 B99999999999999 a", nil, true},
		{"127 6779 X a", nil, true},
		{"127 6779 -B60 a", nil, true},
		{"127 6779 - ", nil, true},
		{"-1 6779 - a", nil, true},
		{"1 -1 - a", nil, true},
		{"9223372036854775807 1 - a", nil, true},
		{"99999999999999999999 1 - a", nil, true},
	}
	for _, tt := range tests {
		got, err := ParseAttachments(tt.text)
		if !reflect.DeepEqual(got, tt.want) || errors.Is(err, ErrAttachments) != tt.bad || (err != nil) != tt.bad {
			t.Errorf("%q: got %+v, %v", tt.text, got, err)
		}
	}
}

func TestReassembleKeepsEverythingElseInPlace(t *testing.T) {
	files := memFS{"a": []byte("AAAA"), "b": []byte("encode me"), "sub/c": []byte("x"), "gz": []byte("\x1f\x8b"), "dir/f": nil}
	part := func(start, size int64, line int, name string) Attachment {
		return Attachment{Start: start, Size: size, Line: line, Path: name}
	}
	tests := []struct {
		name  string
		body  string
		parts []Attachment
		size  int64
		want  string
		notes []PartProblem
	}{
		{"none", "text", nil, 4, "text", nil},
		{"right sizes", "1\n2\n", []Attachment{part(0, 4, 0, "a"), part(6, 14, 4, "b"), part(22, 1, 0, "sub/c")}, 23, "AAAA1\nZW5j\nb2Rl\nIG1l2\nx", nil},
		{"size wrong", "text", nil, 5, "text", []PartProblem{SizeWrong}},
		{"size unknown", "text", nil, -1, "text", nil},
		{"missing", "1\n2\n", []Attachment{part(2, 9, 0, "none")}, 13, "1\n[dovemend: an attachment of 9 bytes is missing here]\n2\n", []PartProblem{PartMissing}},
		{"a directory", "1\n2\n", []Attachment{part(2, 9, 0, "dir")}, 13, "1\n[dovemend: an attachment of 9 bytes is missing here]\n2\n", []PartProblem{PartMissing}},
		{"leads out", "1\n2\n", []Attachment{part(2, 9, 0, "../a")}, 13, "1\n[dovemend: an attachment of 9 bytes is missing here]\n2\n", []PartProblem{PartMissing}},
		{"short", "1\n2\n", []Attachment{part(2, 9, 0, "a")}, 13, "1\nAAAA\n[dovemend: 5 bytes of an attachment are missing here]\n2\n", []PartProblem{PartShort}},
		{"long", "1\n2\n", []Attachment{part(2, 3, 0, "a")}, 7, "1\nAAA2\n", []PartProblem{PartLong}},
		{"looks compressed", "1\n2\n", []Attachment{part(2, 2, 0, "gz")}, 6, "1\n\x1f\x8b2\n", nil},
		{"compressed or cut", "1\n2\n", []Attachment{part(2, 3, 0, "gz")}, 7, "1\n\x1f\x8b\n[dovemend: 1 bytes of an attachment are missing here]\n2\n", []PartProblem{PartShort}},
		{"body short", "1", []Attachment{part(5, 4, 0, "a"), part(9, 1, 0, "sub/c")}, 11, "1\n[dovemend: 4 bytes of the message are missing here]\nAAAAx", []PartProblem{BodyShort}},
		{"bad place", "1234", []Attachment{part(2, 4, 0, "a"), part(3, 4, 0, "a")}, 8, "12AAAA34", []PartProblem{PartBadPlace}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := Reassemble(strings.NewReader(tt.body), tt.parts, tt.size, AttachmentDir{FS: files})
			got, err := io.ReadAll(r)
			if err != nil || string(got) != tt.want || r.Size() != int64(len(got)) {
				t.Errorf("got %q of %d, want %q; %v", got, r.Size(), tt.want, err)
			}
			var notes []PartProblem
			for _, n := range r.Notes {
				notes = append(notes, n.Problem)
			}
			if !reflect.DeepEqual(notes, tt.notes) {
				t.Errorf("notes %+v, want %v", r.Notes, tt.notes)
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestReassembleGivesTheBodysError(t *testing.T) {
	disk := errors.New("disk on fire")
	body := io.MultiReader(strings.NewReader("12"), errReader{disk})
	r := Reassemble(body, []Attachment{{Start: 4, Size: 4, Path: "a"}}, -1, AttachmentDir{FS: memFS{"a": []byte("AAAA")}})
	got, err := io.ReadAll(r)
	if !errors.Is(err, disk) || string(got) != "12\n[dovemend: 2 bytes of the message are missing here]\nAAAA" || !errors.Is(r.Notes[0].Err, disk) {
		t.Errorf("%q %v %+v", got, err, r.Notes)
	}
	r = Reassemble(strings.NewReader("12\n\n"), []Attachment{{Start: 3, Size: 4, Path: "a"}}, -1, AttachmentDir{})
	if got, err := io.ReadAll(r); err != nil || len(r.Notes) != 1 || !strings.Contains(string(got), "missing here") {
		t.Errorf("without a directory: %q %v %+v", got, err, r.Notes)
	}
}

type errReader struct{ err error }

func (e errReader) Read([]byte) (int, error) { return 0, e.err }

func TestPartNotesAreWords(t *testing.T) {
	for _, p := range []PartProblem{PartMissing, PartShort, PartLong, PartBadPlace, BodyShort, SizeWrong} {
		if got := (PartNote{Problem: p, Got: 7, Err: fs.ErrNotExist}).String(); len(got) < 20 || !strings.HasSuffix(got, ": file does not exist") {
			t.Errorf("%s: %q", p, got)
		}
	}
}

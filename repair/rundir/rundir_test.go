package rundir

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"
)

func mustCreate(t *testing.T, state string, m Meta) *Dir {
	t.Helper()
	d, err := Create(state, m)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// fake makes a run's folder with a chosen ID.
func fake(t *testing.T, state, id, meta string) {
	t.Helper()
	dir := filepath.Join(state, runsDir, id)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, MetaFile), []byte(meta), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestCreateThenOpenGivesTheSameMeta(t *testing.T) {
	state := filepath.Join(t.TempDir(), "a", "state")
	want := Meta{Kind: KindRepair, Target: "web1", User: "u", Addr: "h:22", HostKey: "SHA256:x", MailRoot: "/home/\xff/mail",
		Address: "a@b.example", Layout: "mdbox", Mailboxes: []string{"INBOX", "Entwürfe"}, Remedy: "clear", Version: "1"}
	d := mustCreate(t, state, want)
	if !ValidID(d.ID()) {
		t.Errorf("ID %q has not the form of one", d.ID())
	}
	got := d.Meta()
	want.ID, want.Created, want.Stage = got.ID, got.Created, StageNew
	if time.Since(got.Created) > time.Minute {
		t.Errorf("created %v", got.Created)
	}
	for _, id := range []string{d.ID(), d.ID()[:len(d.ID())-1], "latest"} {
		o, err := Open(state, id)
		if err != nil {
			t.Fatalf("open %q: %v", id, err)
		}
		if !reflect.DeepEqual(o.Meta(), want) {
			t.Errorf("open %q: got %+v, want %+v", id, o.Meta(), want)
		}
		o.Close()
	}
	if runtime.GOOS != "windows" {
		for _, p := range []string{state, d.Path()} {
			if fi, err := os.Stat(p); err != nil || fi.Mode().Perm() != 0o700 {
				t.Errorf("%s: mode %v, %v", p, fi.Mode(), err)
			}
		}
	}
}

func TestUpdateReplacesRunJSONWholeAndLeavesNoTemporaryFile(t *testing.T) {
	d := mustCreate(t, t.TempDir(), Meta{Kind: KindBackup})
	for range 3 {
		if err := d.Update(func(m *Meta) { m.Stage = StageSnapshot; m.Error = "bad\x1b[31m\nname" }); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(filepath.Join(d.Path(), MetaFile))
	if err != nil {
		t.Fatal(err)
	}
	var m Meta
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	if m.Stage != StageSnapshot || strings.ContainsAny(m.Error, "\x1b\n") {
		t.Errorf("got %+v", m)
	}
	names, err := os.ReadDir(d.Path())
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		if strings.Contains(n.Name(), "tmp") {
			t.Errorf("left behind: %s", n.Name())
		}
	}
	m.ID = "20200101-000000-0000"
	if err := d.SetMeta(m); err == nil {
		t.Error("the ID of a run could be changed")
	}
}

func TestOpenRefusesWhatIsNoRunID(t *testing.T) {
	state := t.TempDir()
	mustCreate(t, state, Meta{})
	for _, id := range []string{"", ".", "..", "../x", "/", "2026/..", "2026\x00", "*", "x", "2026-1-1-1", "20261123-181502-3f9a/..", "LATEST"} {
		if _, err := Open(state, id); !errors.Is(err, ErrBadID) {
			t.Errorf("open %q: %v", id, err)
		}
	}
	if _, err := Open(state, "19990101"); !errors.Is(err, ErrNoRun) {
		t.Errorf("unknown run: %v", err)
	}
	if _, err := Open(filepath.Join(state, "none"), "latest"); !errors.Is(err, ErrNoRun) {
		t.Errorf("unknown state directory: %v", err)
	}
}

func TestOpenNamesTheRunsAnAmbiguousBeginningFits(t *testing.T) {
	state := t.TempDir()
	fake(t, state, "20261123-181502-3f9a", `{"id":"20261123-181502-3f9a"}`)
	fake(t, state, "20261123-181502-4000", `{"id":"20261123-181502-4000"}`)
	_, err := Open(state, "20261123-1815")
	if !errors.Is(err, ErrAmbiguous) || !strings.Contains(err.Error(), "20261123-181502-3f9a") {
		t.Errorf("got %v", err)
	}
	d, err := Open(state, "20261123-181502-3")
	if err != nil {
		t.Fatal(err)
	}
	d.Close()
}

func TestOpenRefusesAFolderThatLeadsElsewhere(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("symbolic links need rights there")
	}
	state, id := t.TempDir(), "20261123-181502-3f9a"
	fake(t, filepath.Join(state, "other"), id, `{"id":"`+id+`"}`)
	if err := os.MkdirAll(filepath.Join(state, runsDir), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(state, "other", runsDir, id), filepath.Join(state, runsDir, id)); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(state, id); err == nil {
		t.Error("a symbolic link was opened as a run")
	}
	fake(t, state, "20261123-181502-aaaa", `{"id":"20261123-181502-bbbb"}`)
	if _, err := Open(state, "20261123-181502-aaaa"); err == nil {
		t.Error("a run.json of another run was believed")
	}
}

func TestListIsNewestFirstAndToleratesDamage(t *testing.T) {
	state := t.TempDir()
	if l, err := List(filepath.Join(state, "none")); err != nil || len(l) != 0 {
		t.Errorf("no state directory: %v, %v", l, err)
	}
	fake(t, state, "20200101-000000-0001", `{"id":"20200101-000000-0001","stage":"verified"}`)
	fake(t, state, "20210101-000000-0001", `{"id":`)
	if err := os.MkdirAll(filepath.Join(state, runsDir, "20220101-000000-0001"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(state, runsDir, "notes.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := List(state)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, x := range l {
		s := x.ID[:4]
		if x.Err != nil {
			s += " damaged"
		}
		got = append(got, s)
	}
	if want := []string{"2022 damaged", "2021 damaged", "2020"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestSnapshotsAreTheCompleteOnesOfTheSameAccountNewestFirst(t *testing.T) {
	state := t.TempDir()
	a := Meta{Addr: "h:22", HostKey: "SHA256:k", MailRoot: "/home/u/mail"}
	b := a
	b.MailRoot = "/home/u/other"
	write := func(id string, m Meta, s Stage) {
		m.ID, m.Stage = id, s
		j, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		fake(t, state, id, string(j))
	}
	write("20200101-000000-0001", a, StageSnapshot)
	write("20200102-000000-0001", a, StageVerified)
	write("20200103-000000-0001", a, StageNew)
	write("20200104-000000-0001", b, StageVerified)
	a.Addr = "alias:22" // the same host key: the same host
	fit, err := Snapshots(state, a.Key())
	if err != nil {
		t.Fatal(err)
	}
	if len(fit) != 2 || fit[0].ID != "20200102-000000-0001" || fit[1].ID != "20200101-000000-0001" {
		t.Errorf("got %+v", fit)
	}
	if fit, err := Snapshots(state, Meta{Addr: "x"}.Key()); err != nil || len(fit) != 0 {
		t.Errorf("unknown account: %v, %v", fit, err)
	}
}

func TestKeyDoesNotConfuseItsParts(t *testing.T) {
	keys := map[string]Meta{}
	for _, m := range []Meta{{Addr: "h:22", MailRoot: "/a"}, {Addr: "h:2", MailRoot: "2/a"}, {HostKey: "k", MailRoot: "/a"}, {Addr: "h:22", MailRoot: "/A"}} {
		k := m.Key()
		if o, twice := keys[k]; twice || !validKey(k) {
			t.Errorf("%+v and %+v: key %q", m, o, k)
		}
		keys[k] = m
	}
	if (Meta{Addr: "H:22"}).Key() != (Meta{Addr: "h:22"}).Key() {
		t.Error("host names are compared with case")
	}
}

func TestReadJSONStaysInTheFolder(t *testing.T) {
	state := t.TempDir()
	d := mustCreate(t, state, Meta{})
	if err := os.WriteFile(filepath.Join(state, "x.json"), []byte(`{}`), 0o600); err != nil {
		t.Fatal(err)
	}
	var v any
	if err := d.ReadJSON("../../x.json", &v); err == nil {
		t.Error("read a file outside the run")
	}
	if err := d.WriteJSON("../../y.json", 1); err == nil {
		t.Error("wrote a file outside the run")
	}
	if err := d.ReadJSON("none.json", &v); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if err := d.ReadJSON(SnapshotDir, &v); err == nil {
		t.Error("read a directory")
	}
}

func TestStateDirectoryThatEverybodyMayWriteToIsRefused(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no such modes there")
	}
	state := t.TempDir()
	if err := os.Chmod(state, 0o757); err != nil {
		t.Fatal(err)
	}
	if _, err := Create(state, Meta{}); !errors.Is(err, ErrStateDir) {
		t.Errorf("got %v", err)
	}
	if err := os.Chmod(state, 0o750); err != nil {
		t.Fatal(err)
	}
	mustCreate(t, state, Meta{})
	if StateWarning(state) == "" {
		t.Error("no warning for mode 0750")
	}
	if err := EnsureState("relative/state"); !errors.Is(err, ErrStateDir) {
		t.Errorf("relative: %v", err)
	}
}

func TestDefaultStateFollowsTheSystem(t *testing.T) {
	tests := []struct{ name, goos, xdg, local, want string }{
		{"linux", "linux", "", "", "/h/.local/state/dovemend"},
		{"xdg", "linux", "/x", "", "/x/dovemend"},
		{"xdg must be absolute", "linux", "x", "", "/h/.local/state/dovemend"},
		{"macOS", "darwin", "", "", "/h/Library/Application Support/dovemend"},
		{"windows", "windows", "", "/l", "/l/dovemend"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if runtime.GOOS == "windows" {
				t.Skip("slash paths")
			}
			env := map[string]string{"XDG_STATE_HOME": tt.xdg, "LocalAppData": tt.local}
			got, err := defaultState(tt.goos, func(k string) string { return env[k] }, "/h", nil)
			if err != nil || got != tt.want {
				t.Errorf("got %q, %v; want %q", got, err, tt.want)
			}
		})
	}
	if _, err := defaultState("linux", func(string) string { return "" }, "", nil); err == nil {
		t.Error("no home, no error")
	}
}

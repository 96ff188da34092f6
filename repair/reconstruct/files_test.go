package reconstruct

import (
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"
)

func TestReadFileGivesAllThatIsWantedAndNoMore(t *testing.T) {
	dir := t.TempDir()
	mem := fstest.MapFS{}
	for name, text := range map[string]string{"empty": "", "short": "abc", "long": string(make([]byte, 10_000))} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		mem[name] = &fstest.MapFile{Data: []byte(text)}
		for _, limit := range []int64{2, 3, 9_999, 10_000, 1 << 20} {
			want := text[:min(int64(len(text)), limit)]
			disk, err := ReadFile(os.DirFS(dir), name, limit)
			if err != nil || string(disk) != want || disk == nil {
				t.Errorf("%s, at most %d: %d bytes, %v", name, limit, len(disk), err)
			}
			if limit > 512 && cap(disk) > len(disk)+1024 {
				t.Errorf("%s: %d bytes take %d", name, len(disk), cap(disk))
			}
			memory, err := ReadFile(mem, name, limit)
			if err != nil || string(memory) != want || memory == nil {
				t.Errorf("%s in memory, at most %d: %d bytes, %v", name, limit, len(memory), err)
			}
		}
	}
	if _, err := ReadFile(os.DirFS(dir), ".", 10); err == nil {
		t.Error("a directory was read")
	}
}

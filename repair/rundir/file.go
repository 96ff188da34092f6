package rundir

import (
	"bufio"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"runtime"
)

// maxJSON bounds what is read of one JSON file of a run, in bytes. A plan of a million steps is below it.
const maxJSON = 1 << 30

// WriteJSON writes v, indented, to the named file of the run: whole or not at all, and synced to the disk. A v with a method of
// this name writes itself.
func (d *Dir) WriteJSON(name string, v any) error {
	err := writeFile(d.root, name, func(w io.Writer) error {
		if own, ok := v.(interface{ WriteJSON(io.Writer) error }); ok {
			return own.WriteJSON(w)
		}
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		return enc.Encode(v)
	})
	if err != nil {
		return fmt.Errorf("write %s of run %s: %w", name, d.ID(), err)
	}
	return nil
}

// ReadJSON reads a file of the run that [Dir.WriteJSON] wrote. fs.ErrNotExist where there is none. A v with a method of this name
// reads itself.
func (d *Dir) ReadJSON(name string, v any) error {
	f, err := d.root.Open(name)
	if err != nil {
		return fmt.Errorf("read %s of run %s: %w", name, d.ID(), err)
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return fmt.Errorf("read %s of run %s: %w", name, d.ID(), err)
	}
	if !fi.Mode().IsRegular() || fi.Size() > maxJSON {
		return fmt.Errorf("read %s of run %s: not a file of sensible size", name, d.ID())
	}
	if own, ok := v.(interface{ ReadJSON(io.Reader) error }); ok {
		err = own.ReadJSON(bufio.NewReader(io.LimitReader(f, maxJSON)))
	} else {
		var b []byte
		if b, err = io.ReadAll(io.LimitReader(f, maxJSON)); err == nil {
			err = json.Unmarshal(b, v)
		}
	}
	if err != nil {
		return fmt.Errorf("read %s of run %s: %w", name, d.ID(), err)
	}
	return nil
}

// writeFile replaces a file by way of a temporary one beside it.
func writeFile(root *os.Root, name string, write func(io.Writer) error) error {
	var r [6]byte
	if _, err := rand.Read(r[:]); err != nil {
		return err
	}
	temp := name + ".tmp-" + hex.EncodeToString(r[:])
	if err := writeTemp(root, temp, write); err != nil {
		return errors.Join(err, removeTemp(root, temp))
	}
	if err := root.Rename(temp, name); err != nil {
		return errors.Join(err, removeTemp(root, temp))
	}
	return syncDir(root, path.Dir(name))
}

func writeTemp(root *os.Root, temp string, write func(io.Writer) error) error {
	f, err := root.OpenFile(temp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err = write(f); err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func removeTemp(root *os.Root, temp string) error {
	if err := root.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// syncDir makes a rename or a new name in a directory durable. Windows has no such call, and needs none.
func syncDir(root *os.Root, name string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	f, err := root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

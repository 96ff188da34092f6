package salvage

import (
	"errors"
	"io/fs"
	"os"
)

// errNotRegular: what lies there is a directory, a pipe, a device or a socket.
var errNotRegular = errors.New("not a regular file")

// openRegular opens a file for reading if it is a regular one, and never waits: a pipe would be opened only when somebody writes to it.
// A symbolic link is followed only to what is beneath root. The file is looked at again once it is open, as something else may have come
// to lie there in between; where the system knows how, opening does not wait even then.
func openRegular(root *os.Root, name string) (*os.File, error) {
	info, err := root.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "open", Path: name, Err: errNotRegular}
	}
	f, err := root.OpenFile(name, os.O_RDONLY|openWithoutWaiting, 0)
	if err != nil {
		return nil, err
	}
	if info, err = f.Stat(); err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "open", Path: name, Err: errNotRegular}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

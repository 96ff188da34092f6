//go:build !unix

package salvage

// openWithoutWaiting is nothing here: no file of a folder is a pipe.
const openWithoutWaiting = 0

//go:build !unix

package main

// ignoreSizeLimit does nothing: there is no such signal here.
func ignoreSizeLimit() {}

package fidelity

import (
	"fmt"
	"slices"

	"dovemend/remote/remotetest/damage"
	"dovemend/remote/remotetest/fill"
)

// cell is one damage to one store.
type cell struct {
	layout string // "mdbox", "sdbox", "maildir", "maildir fs"
	kind   string // one of damage.Kinds
	store  string // "young", "rotated", "changed"
	seed   uint64
}

func (c cell) String() string { return fmt.Sprintf("%s/%s/%s/%d", c.layout, c.kind, c.store, c.seed) }

// mailbox is the one that is broken: INBOX, and with every second seed one whose messages came from elsewhere.
func (c cell) mailbox() string {
	if c.seed%2 == 0 {
		return fill.Archive
	}
	return fill.Inbox
}

// stores are what there is to break, in every layout.
var stores = []string{"young", "rotated", "changed"}

var layouts = []string{"mdbox", "sdbox", "maildir", "maildir fs"}

// fsKinds are the kinds done with LAYOUT=fs: the files are those of any Maildir, but they lie elsewhere.
var fsKinds = []string{"index-missing", "index-records-garbage", "log-garbage", "made-anew", "uidlist-missing", "uidlist-bad-line", "message-half",
	"keywords-missing", "several-mailboxes", "list-index-missing"}

// cells are all cells of a full run, in their order.
func (s settings) cells(layout string) []cell {
	if !s.full && s.only == nil {
		return quickly(layout)
	}
	var all []cell
	for _, kind := range kindsOf(layout) {
		for _, store := range stores {
			for seed := range s.seeds {
				c := cell{layout, kind, store, seed + 1}
				if kind == hugeKind && (store != "rotated" || seed > 0) {
					continue
				}
				if s.fits(c) {
					all = append(all, c)
				}
			}
		}
	}
	return all
}

// hugeKind is done once in each layout: dovemend takes a minute to copy the file.
const hugeKind = "cache-huge"

func kindsOf(layout string) []string {
	if layout == "maildir fs" {
		return fsKinds
	}
	return damage.Kinds(layout)
}

// quickly are the cells that tell most: those in which people lose mail, and those in which a repair can lose it for them.
func quickly(layout string) []cell {
	var all []cell
	for _, c := range quick {
		if c.layout == layout {
			all = append(all, c)
		}
	}
	return slices.Clip(all)
}

var quick = []cell{
	{"mdbox", "index-header-garbage", "changed", 1},
	{"mdbox", "made-anew", "rotated", 2},
	{"mdbox", "log-garbage", "changed", 1},
	{"mdbox", "log-cut-between", "young", 2},
	{"mdbox", "map-missing", "changed", 1},
	{"mdbox", "message-magic", "rotated", 1},
	{"sdbox", "index-missing", "changed", 1},
	{"sdbox", "index-records-garbage", "changed", 2},
	{"sdbox", "log-cut-between", "changed", 2},
	{"sdbox", "message-first-line", "rotated", 1},
	{"maildir", "index-cut", "changed", 1},
	{"maildir", "uidlist-garbage", "changed", 1},
	{"maildir", "uidlist-garbage", "rotated", 2},
	{"maildir", "message-half", "rotated", 2},
}

package remote

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// ErrGuard is what every [*GuardError] is.
var ErrGuard = errors.New("refused by the guard")

// GuardError is a refusal: the rule that was broken, and by which path.
type GuardError struct {
	Rule string // a name in [Rules]
	Path string // as it was given: not safe to print
	Err  error  // in words; safe to print
}

func (e *GuardError) Error() string {
	return fmt.Sprintf("guard refuses \"%s\" (rule %s): %s", safeText(e.Path, 300, false), e.Rule, e.Err)
}

// Unwrap lets errors.Is find [ErrGuard] and the reason.
func (e *GuardError) Unwrap() []error { return []error{ErrGuard, e.Err} }

// Rule is one rule of the guard.
type Rule struct{ Name, Text string }

// Rules lists the guard's rules in the order in which they are asked.
func Rules() []Rule {
	list := make([]Rule, len(rules))
	for i, r := range rules {
		list[i] = r.Rule
	}
	return list
}

const (
	ruleClean    = "absolute-clean"
	ruleControl  = "no-control-bytes"
	ruleLength   = "name-length"
	ruleTop      = "not-top"
	ruleHome     = "not-home"
	ruleTreeName = "tree-named-mailboxes"
	ruleBeneath  = "beneath-tree"
	ruleNotTree  = "not-tree"
	ruleDepth    = "depth"
	ruleClass    = "class"
	ruleSymlink  = "no-symlink"
	ruleOwner    = "owner"
	ruleType     = "type"
)

// rule is one check. Those without facts are asked of the text of the path alone, before anything is asked of the
// host; root ones of the mail root as well, with an empty rel.
type rule struct {
	Rule
	root  bool
	text  func(q *inquiry) error
	facts func(q *inquiry) error
}

// inquiry is one path on its way through the rules.
type inquiry struct {
	root   *Root
	rel    string   // as given
	parts  []string // of rel
	abs    string
	class  Class
	remove bool // for removal; else for writing

	chain []string // the directories above abs, from the top down, without "/"
	dirs  []seen   // what each of them is
	at    seen     // what abs is; its err wraps fs.ErrNotExist where nothing is there
	real  string   // the deepest of chain that exists, resolved by the host
	deep  string   // that directory
}

// rules is the table. docs/safety.md holds the same one, and a test compares them.
var rules = []rule{
	{Rule: Rule{ruleClean, "The mail root is an absolute and clean path; the path beneath it is relative and clean: not empty, no `.` or `..`, no doubled or trailing slash."},
		root: true, text: func(q *inquiry) error {
			if q.rel == "" && q.parts == nil {
				if !path.IsAbs(q.abs) || path.Clean(q.abs) != q.abs {
					return errors.New("the mail root is not an absolute, clean path")
				}
				return nil
			}
			if q.rel == "" || q.rel[0] == '/' || path.Clean(q.rel) != q.rel || slices.Contains(q.parts, "..") || q.rel == "." {
				return errors.New("the path is not relative to the mail root and clean")
			}
			return nil
		}},
	{Rule: Rule{ruleControl, "No byte of a path is a control character (0 to 31, and 127)."},
		root: true, text: func(q *inquiry) error {
			if strings.ContainsFunc(q.abs, func(r rune) bool { return r < ' ' || r == 0x7f }) {
				return errors.New("the path holds a control character")
			}
			return nil
		}},
	{Rule: Rule{ruleLength, "No name is longer than 255 bytes, no path longer than 4,095."},
		root: true, text: func(q *inquiry) error {
			if len(q.abs) > 4095 || slices.ContainsFunc(strings.Split(q.abs, "/"), func(s string) bool { return len(s) > 255 }) {
				return errors.New("the path or a name in it is too long")
			}
			return nil
		}},
	{Rule: Rule{ruleTop, "The mail root is not `/`."},
		root: true, text: func(q *inquiry) error {
			if q.root.dir == "/" || q.abs == "/" {
				return errors.New("the mail root is the top directory")
			}
			return nil
		}},
	{Rule: Rule{ruleHome, "Neither the mail root nor a path is the login's home directory or a directory above it, as the login names it and resolved."},
		root: true, text: func(q *inquiry) error {
			for _, home := range q.root.homes {
				if home != "" && (home == q.abs || strings.HasPrefix(home, strings.TrimSuffix(q.abs, "/")+"/")) {
					return errors.New("the path is the home directory, or above it")
				}
			}
			return nil
		}},
	{Rule: Rule{ruleTreeName, "For removal: the mail root holds a directory named exactly `mailboxes`, a real one and no symbolic link, now and when it was opened."},
		text: func(q *inquiry) error {
			if q.remove && !q.root.tree {
				return errors.New("there is no mailboxes directory here, so nothing can be removed, only set aside")
			}
			return nil
		}},
	{Rule: Rule{ruleNotTree, "The path is not the mail root and not the directory `mailboxes` itself."},
		text: func(q *inquiry) error {
			if len(q.parts) == 0 || q.rel == treeName {
				return errors.New("the path is the mailboxes tree or the mail root itself")
			}
			return nil
		}},
	{Rule: Rule{ruleBeneath, "For removal: the path is strictly beneath `mailboxes`."},
		text: func(q *inquiry) error {
			if q.remove && (q.parts[0] != treeName || !strings.HasPrefix(q.abs, q.root.dir+"/"+treeName+"/")) {
				return errors.New("the path is not beneath the mailboxes directory")
			}
			return nil
		}},
	{Rule: Rule{ruleDepth, "For removal: a file is at least in one mailbox's folder (`mailboxes/NAME/FILE`), a folder at least `mailboxes/NAME`."},
		text: func(q *inquiry) error {
			if q.remove && (len(q.parts) < 2 || len(q.parts) < 3 && q.class != ClassFolder) {
				return errors.New("the path is not deep enough to be in a mailbox")
			}
			return nil
		}},
	{Rule: Rule{ruleClass, "The path is what the step says it is: cache, index, index-file and temp by their file names, mailbox-file by its folder, folder by being outside `dovemend-aside`, aside by being that directory or beneath it. Aside is never removed."},
		text: func(q *inquiry) error { return checkClass(q) }},
	{Rule: Rule{ruleSymlink, "No component of the path, from the top to the last, is a symbolic link, and the host resolves the path's directory to itself."},
		facts: func(q *inquiry) error {
			for i, d := range q.dirs {
				if d.err == nil && d.kind == fs.ModeSymlink {
					return fmt.Errorf("%q is a symbolic link", Safe(q.chain[i]))
				}
			}
			if q.at.err == nil && q.at.kind == fs.ModeSymlink {
				return errors.New("it is a symbolic link")
			}
			if q.real != q.deep {
				return fmt.Errorf("the host resolves its directory to %q", Safe(q.real))
			}
			return nil
		}},
	{Rule: Rule{ruleOwner, "The mail root and each directory beneath it on the way belong to the login user, and so does the path if it is a directory; where the host does not tell who that is, to the owner of the mail root."},
		facts: func(q *inquiry) error {
			for i, d := range q.dirs {
				if d.err == nil && q.root.within(q.chain[i]) && !q.root.owns(d) {
					return fmt.Errorf("%q belongs to user id %d, not %d", Safe(q.chain[i]), d.uid, q.root.uid)
				}
			}
			if q.at.err == nil && q.at.kind == fs.ModeDir && !q.root.owns(q.at) {
				return fmt.Errorf("it belongs to user id %d, not %d", q.at.uid, q.root.uid)
			}
			return nil
		}},
	{Rule: Rule{ruleType, "Every component but the last is a directory; the last is a regular file, for folder a directory, for aside either. For writing it may be missing."},
		facts: func(q *inquiry) error { return checkType(q) }},
}

func (r *Root) within(dir string) bool { return dir == r.dir || strings.HasPrefix(dir, r.dir+"/") }

func (r *Root) owns(s seen) bool { return r.uid < 0 || s.uid < 0 || s.uid == r.uid }

func checkType(q *inquiry) error {
	for i, d := range q.dirs {
		if d.err == nil && d.kind != fs.ModeDir {
			return fmt.Errorf("%q is not a directory", Safe(q.chain[i]))
		}
	}
	if q.at.err != nil {
		return nil
	}
	dir, file := q.at.kind == fs.ModeDir, q.at.kind == 0
	switch {
	case q.class == ClassFolder && !dir:
		return errors.New("it is not a directory")
	case q.class == ClassAside && !dir && !file:
		return errors.New("it is neither a directory nor a regular file")
	case q.class != ClassFolder && q.class != ClassAside && !file:
		return errors.New("it is not a regular file")
	}
	return nil
}

// rootText asks the rules that can be asked of the text of a mail root.
func rootText(r *Root, dir string) error {
	q := &inquiry{root: r, abs: dir}
	for _, rule := range rules {
		if !rule.root || rule.text == nil {
			continue
		}
		if err := rule.text(q); err != nil {
			return &GuardError{Rule: rule.Name, Path: dir, Err: err}
		}
	}
	return nil
}

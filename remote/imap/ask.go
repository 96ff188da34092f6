package imap

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	goimap "github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// Look is one kind of question about messages, as mail programs ask it. A message can be sound to one and break the
// server at another.
type Look string

// The kinds of look.
const (
	LookFlags         Look = "flags"         // FETCH FLAGS; answered from the index
	LookEnvelope      Look = "envelope"      // FETCH ENVELOPE; from the cache, or the message's header
	LookBodyStructure Look = "bodystructure" // FETCH BODYSTRUCTURE; from the cache, or the whole message
	LookSort          Look = "sort"          // SORT by date; from the cache, or the message's header
	LookThread        Look = "thread"        // THREAD REFERENCES; from the cache, or the message's header
	LookBody          Look = "body"          // FETCH BODY.PEEK[]; the whole message
	LookSearchBody    Look = "search-body"   // SEARCH BODY; the whole message, taken apart as the cache says or anew
	LookSearchText    Look = "search-text"   // SEARCH TEXT; the same, with the header
)

// Looks are all of them, in the order in which they are best taken: what costs the server little and tells UIDs comes
// first.
var Looks = []Look{LookFlags, LookEnvelope, LookBodyStructure, LookSort, LookThread, LookBody, LookSearchBody, LookSearchText}

// Command is what the look asks of the server, for people: "FETCH BODYSTRUCTURE".
func (l Look) Command() string { return questions[l].command }

// NamesMessages reports whether the server's answer names the messages one by one as it comes to them, so that where it
// breaks off is told.
func (l Look) NamesMessages() bool { return questions[l].item != nil }

// ErrNoThread is the cause of the error of [Client.Ask] where the server has no THREAD=REFERENCES.
var ErrNoThread = errors.New("the server cannot thread")

// Limits of [Client.Ask]. Nothing of the answers is kept, so they are wide.
const (
	maxKept    = 32 << 20 // bytes of one response without its literals
	perAsked   = 16 << 10 // bytes of answer for each message, without literals
	askedSet   = 7000     // bytes of a UID set in one command: lines of 8,000 bytes are taken everywhere
	improbable = "k9zq-no-message-has-this-vx37"
)

// question is how a look is asked.
type question struct {
	command, op string
	item        *regexp.Regexp // what the answer for one message must hold; nil where the answer is not by message
	ask         func(c *Client, set goimap.UIDSet) error
}

var questions map[Look]question

func init() {
	fetch := func(o goimap.FetchOptions) func(*Client, goimap.UIDSet) error {
		o.UID = true
		return func(c *Client, set goimap.UIDSet) error { return c.lib.Fetch(set, &o).Close() }
	}
	search := func(criteria goimap.SearchCriteria) func(*Client, goimap.UIDSet) error {
		return func(c *Client, set goimap.UIDSet) error {
			criteria := criteria
			criteria.UID = []goimap.UIDSet{set}
			_, err := c.lib.UIDSearch(&criteria, nil).Wait()
			return err
		}
	}
	item := regexp.MustCompile
	questions = map[Look]question{
		LookFlags:         {"FETCH FLAGS", "FETCH", item(`(?i)[( ]FLAGS \(`), fetch(goimap.FetchOptions{Flags: true})},
		LookEnvelope:      {"FETCH ENVELOPE", "FETCH", item(`(?i)[( ]ENVELOPE \(`), fetch(goimap.FetchOptions{Envelope: true})},
		LookBodyStructure: {"FETCH BODYSTRUCTURE", "FETCH", item(`(?i)[( ]BODYSTRUCTURE \(`), fetch(goimap.FetchOptions{BodyStructure: &goimap.FetchItemBodyStructure{Extended: true}})},
		LookBody:          {"FETCH BODY[]", "FETCH", item(`(?i)[( ]BODY\[\] ["{]`), fetch(goimap.FetchOptions{BodySection: []*goimap.FetchItemBodySection{{Peek: true}}})},
		LookSearchBody:    {"SEARCH BODY", "SEARCH", nil, search(goimap.SearchCriteria{Body: []string{improbable}})},
		LookSearchText:    {"SEARCH TEXT", "SEARCH", nil, search(goimap.SearchCriteria{Text: []string{improbable}})},
		LookSort:          {"SORT", "SORT", nil, askSort},
		LookThread:        {"THREAD REFERENCES", "THREAD", nil, askThread},
	}
}

func askSort(c *Client, set goimap.UIDSet) error {
	if !c.lib.Caps().Has(goimap.CapSort) {
		return &Error{Op: "SORT", Type: TypeRefused, Text: ErrNoSort.Error(), Err: ErrNoSort}
	}
	_, err := c.lib.UIDSort(&imapclient.SortOptions{
		SearchCriteria: &goimap.SearchCriteria{UID: []goimap.UIDSet{set}},
		SortCriteria:   []imapclient.SortCriterion{{Key: imapclient.SortKeyDate, Reverse: true}},
	}).Wait()
	return err
}

func askThread(c *Client, set goimap.UIDSet) error {
	if !c.lib.Caps().Has("THREAD=REFERENCES") {
		return &Error{Op: "THREAD", Type: TypeRefused, Text: ErrNoThread.Error(), Err: ErrNoThread}
	}
	_, err := c.lib.UIDThread(&imapclient.ThreadOptions{
		Algorithm:      goimap.ThreadReferences,
		SearchCriteria: &goimap.SearchCriteria{UID: []goimap.UIDSet{set}},
	}).Wait()
	return err
}

// UIDRange is UIDs from First to Last. As text, in JSON too, it is written as IMAP does: "17", "3:9".
type UIDRange struct {
	First, Last uint32
}

// String gives the range as IMAP writes it.
func (r UIDRange) String() string {
	first := strconv.FormatUint(uint64(r.First), 10)
	if r.First == r.Last {
		return first
	}
	return first + ":" + strconv.FormatUint(uint64(r.Last), 10)
}

// MarshalText is [UIDRange.String].
func (r UIDRange) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads what [UIDRange.MarshalText] writes, and refuses what is no range.
func (r *UIDRange) UnmarshalText(text []byte) error {
	a, b, both := strings.Cut(string(text), ":")
	if !both {
		b = a
	}
	first, err := strconv.ParseUint(a, 10, 32)
	if err != nil {
		return fmt.Errorf("read UID range: %w", err)
	}
	last, err := strconv.ParseUint(b, 10, 32)
	if err != nil {
		return fmt.Errorf("read UID range: %w", err)
	}
	if first == 0 || last < first {
		return fmt.Errorf("read UID range: %q is none", text)
	}
	r.First, r.Last = uint32(first), uint32(last)
	return nil
}

// Ranges puts UIDs into ranges, in ascending order; 0 is left out.
func Ranges(uids []uint32) []UIDRange {
	if !slices.IsSorted(uids) {
		uids = slices.Sorted(slices.Values(uids))
	}
	var rs []UIDRange
	for _, u := range uids {
		switch n := len(rs); {
		case u == 0 || n > 0 && u == rs[n-1].Last:
		case n > 0 && u == rs[n-1].Last+1:
			rs[n-1].Last = u
		default:
			rs = append(rs, UIDRange{u, u})
		}
	}
	return rs
}

// Ask asks one kind of question about messages of the examined mailbox. Nothing of the answers is kept, nor does the
// parsing library see them, so no answer is too large or too odd to be looked at. No message becomes seen. A long set is
// asked about in several commands.
//
// yield, which may be nil, gets the UID of every message asked for that is answered completely and well-formed, as the
// answers come in; for SORT, THREAD and SEARCH each UID asked for, when the server has said OK. A message that is asked
// for and not yielded although there was no error is not there, or the server left it out, or sent of it what is not
// IMAP. yield is called from another goroutine, one call at a time and none after Ask has returned; it must not use the
// client.
//
// Errors are an [*Error]; its UID is the message the server named last, and Partial says whether that one is the suspect.
// Where the server cannot sort or thread, the error is an [ErrNoSort] or [ErrNoThread] and nothing was asked.
func (c *Client) Ask(ctx context.Context, look Look, uids []uint32, yield func(uid uint32)) error {
	return c.AskRanges(ctx, look, Ranges(uids), yield)
}

// AskRanges is [Client.Ask] for ranges in ascending order, without overlap. UIDs in them that no message has cost
// nothing; for SORT, THREAD and SEARCH they are yielded like the others.
func (c *Client) AskRanges(ctx context.Context, look Look, ranges []UIDRange, yield func(uid uint32)) error {
	q, ok := questions[look]
	if !ok {
		return &Error{Op: string(look), Type: TypeRefused, Text: "there is no such look"}
	}
	for len(ranges) > 0 {
		n := setLength(ranges)
		if err := c.askOnce(ctx, q, ranges[:n], yield); err != nil {
			return err
		}
		ranges = ranges[n:]
	}
	return nil
}

// Commands says in how many commands [Client.AskRanges] asks about ranges.
func Commands(ranges []UIDRange) (n int) {
	for ; len(ranges) > 0; n++ {
		ranges = ranges[setLength(ranges):]
	}
	return n
}

// setLength says how many of the ranges, at least one, go into one command.
func setLength(ranges []UIDRange) int {
	size := 0
	for i, r := range ranges {
		size += len(strconv.Itoa(int(r.First))) + 1
		if r.Last > r.First {
			size += len(strconv.Itoa(int(r.Last))) + 1
		}
		if size > askedSet && i > 0 {
			return i
		}
	}
	return len(ranges)
}

// askOnce asks in one command.
func (c *Client) askOnce(ctx context.Context, q question, ranges []UIDRange, yield func(uid uint32)) error {
	var set goimap.UIDSet
	for _, r := range ranges {
		set.AddRange(goimap.UID(max(r.First, 1)), goimap.UID(r.Last)) // 0 would mean the last message
	}
	a := &asking{item: q.item, ranges: ranges, yield: yield}
	err := c.do(ctx, q.op, maxKept+perAsked*int64(c.count), func() error {
		c.lib.Caps() // may be a command of its own, which must be over
		c.w.mu.Lock()
		c.w.scan.ask = a
		c.w.mu.Unlock()
		return q.ask(c, set)
	})
	c.w.mu.Lock()
	c.w.scan.ask = nil
	c.w.mu.Unlock()
	if err == nil && q.item == nil && yield != nil {
		for _, r := range ranges {
			for u := uint64(r.First); u <= uint64(r.Last); u++ {
				yield(uint32(u))
			}
		}
	}
	return err
}

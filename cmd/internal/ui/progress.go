package ui

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"

	"dovemend/repair"
)

// linesEvery is how often progress is told where there is no bar: on no terminal and in accessible mode.
const linesEvery = 10 * time.Second

// Progress tells on standard error how a repair goes. It is a [repair.Reporter].
type Progress struct {
	out   io.Writer
	bars  bool
	quiet bool
	now   func() time.Time

	mu               sync.Mutex
	stage            string
	files, doneFiles int
	bytes, doneBytes int64
	began, told      time.Time
	bar              *progressbar.ProgressBar
	held             int
	warnings         []string
}

var _ repair.Reporter = (*Progress)(nil)

// NewProgress gives a reporter that writes to out: with bars where out is a terminal and plain is false, else a line
// now and then, and only warnings with quiet.
func NewProgress(out io.Writer, plain, quiet bool) *Progress {
	return &Progress{out: out, bars: isTerminal(out) && !plain, quiet: quiet, now: time.Now}
}

// Stage implements [repair.Reporter].
func (p *Progress) Stage(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.end()
	p.stage, p.files, p.doneFiles, p.bytes, p.doneBytes = text, 0, 0, 0, 0
	p.began, p.told = p.now(), p.now()
	p.line(text)
}

// Total implements [repair.Reporter].
func (p *Progress) Total(files int, bytes int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.files, p.bytes = files, bytes
	p.draw()
}

// Advance implements [repair.Reporter].
func (p *Progress) Advance(files int, bytes int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.doneFiles += files
	p.doneBytes += bytes
	p.draw()
	if !p.bars && !p.quiet && p.now().Sub(p.told) >= linesEvery {
		p.told = p.now()
		fmt.Fprintln(p.out, "  "+p.soFar())
	}
}

// Info implements [repair.Reporter].
func (p *Progress) Info(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.line("  " + text)
}

// Warn implements [repair.Reporter].
func (p *Progress) Warn(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.warnings = append(p.warnings, text)
	p.clear()
	SayLog(p.out, "warning: %s", text)
}

// Warnings gives what [Progress.Warn] was told so far.
func (p *Progress) Warnings() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string{}, p.warnings...)
}

// Done ends the last stage and takes its bar away.
func (p *Progress) Done() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.end()
}

// Hold takes the bar away while a question is asked or a result printed; the returned function gives it back.
func (p *Progress) Hold() (resume func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	p.held++
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.held--
	}
}

func (p *Progress) line(text string) {
	if p.quiet {
		return
	}
	p.clear()
	SayLog(p.out, "%s", text)
}

// end closes the stage with one line about what was done in it.
func (p *Progress) end() {
	p.clear()
	p.bar = nil
	if !p.quiet && p.stage != "" && p.doneFiles > 0 && p.doneBytes > 0 {
		took := p.now().Sub(p.began).Round(100 * time.Millisecond)
		fmt.Fprintf(p.out, "  %s, %s in %s\n", Count(p.doneFiles, p.unit()), Bytes(p.doneBytes), took)
	}
	p.stage = ""
}

// unit is what the stage counts: messages over IMAP or as they are written out, else files.
func (p *Progress) unit() string {
	for _, stage := range []string{"looking at the mailbox", "looking a second time", "writing messages"} {
		if strings.HasPrefix(p.stage, stage) {
			return "message"
		}
	}
	return "file"
}

func (p *Progress) clear() {
	if p.bar != nil {
		_ = p.bar.Clear()
	}
}

// draw brings the bar up to date; without a known end there is none.
func (p *Progress) draw() {
	if !p.bars || p.quiet || p.held > 0 || (p.bytes <= 0 && p.files <= 0) {
		return
	}
	goal, at := p.bytes, p.doneBytes
	if p.bytes <= 0 {
		goal, at = int64(p.files), int64(p.doneFiles)
	}
	at = min(at, goal)
	if p.bar == nil {
		p.bar = progressbar.NewOptions64(goal,
			progressbar.OptionSetWriter(p.out), progressbar.OptionShowBytes(p.bytes > 0),
			progressbar.OptionSetWidth(max(Width(p.out)-66, 8)), progressbar.OptionSetPredictTime(false), progressbar.OptionSetElapsedTime(false),
			progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish(),
			progressbar.OptionSetTheme(progressbar.Theme{Saucer: "=", SaucerHead: ">", SaucerPadding: " ", BarStart: "[", BarEnd: "]"}))
	} else if p.bar.GetMax64() != goal {
		p.bar.ChangeMax64(goal)
	}
	if p.bytes > 0 && p.files > 0 {
		p.bar.Describe(fmt.Sprintf("  %d/%d %s%s", p.doneFiles, p.files, plural(p.unit()), p.left(", %s left")))
	}
	_ = p.bar.Set64(at)
}

// soFar says in words how far the stage has come.
func (p *Progress) soFar() string {
	s := Count(p.doneFiles, p.unit())
	if p.files > 0 {
		s = fmt.Sprintf("%d of %s", p.doneFiles, Count(p.files, p.unit()))
	}
	if p.doneBytes == 0 && p.bytes <= 0 {
		return s
	}
	took := p.now().Sub(p.began)
	rate := float64(p.doneBytes) / max(took.Seconds(), 0.001)
	if p.bytes <= 0 {
		return fmt.Sprintf("%s, %s, %s/s", s, Bytes(p.doneBytes), Bytes(int64(rate)))
	}
	s += fmt.Sprintf(", %s of %s, %s/s", Bytes(p.doneBytes), Bytes(p.bytes), Bytes(int64(rate)))
	return s + p.left(", about %s left")
}

// left says how long it will take yet, where that can be told.
func (p *Progress) left(format string) string {
	took, left := p.now().Sub(p.began).Seconds(), float64(p.bytes-p.doneBytes)
	if took < 1 || left <= 0 || p.doneBytes <= 0 {
		return ""
	}
	return fmt.Sprintf(format, time.Duration(left*took/float64(p.doneBytes)*float64(time.Second)).Round(time.Second))
}

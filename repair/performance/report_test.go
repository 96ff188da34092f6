//go:build unix

package performance

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// results are all figures of a run, by part and program.
type results struct {
	rounds int
	parts  []*partResult
}

type partResult struct {
	name string
	rows []*row
}

type row struct {
	program string
	files   int
	runs    map[int]figures // by round
	stolen  float64         // the most of any run, of the machine's time
}

func (r *results) add(part string, j job, round int, f figures, stolen float64) {
	i := slices.IndexFunc(r.parts, func(p *partResult) bool { return p.name == part })
	if i < 0 {
		i = len(r.parts)
		r.parts = append(r.parts, &partResult{name: part})
	}
	p := r.parts[i]
	k := slices.IndexFunc(p.rows, func(w *row) bool { return w.program == j.program })
	if k < 0 {
		k = len(p.rows)
		p.rows = append(p.rows, &row{program: j.program, files: j.files, runs: map[int]figures{}})
	}
	p.rows[k].runs[round] = f
	p.rows[k].stolen = max(p.rows[k].stolen, stolen)
}

// spread is a median with its least and its most.
type spread struct{ median, least, most float64 }

func spreadOf(v []float64) spread {
	if len(v) == 0 {
		return spread{}
	}
	slices.Sort(v)
	m := v[len(v)/2]
	if len(v)%2 == 0 {
		m = (v[len(v)/2-1] + m) / 2
	}
	return spread{m, v[0], v[len(v)-1]}
}

func (w *row) walls() spread {
	var v []float64
	for _, f := range w.runs {
		v = append(v, f.wall.Seconds())
	}
	return spreadOf(v)
}

// ratio is how long dovemend took for each second of this program, round by round.
func (w *row) ratio(own *row) (spread, bool) {
	var v []float64
	for round, f := range w.runs {
		if o, ok := own.runs[round]; ok {
			v = append(v, o.wall.Seconds()/f.wall.Seconds())
		}
	}
	return spreadOf(v), len(v) > 0
}

func (r *results) print(w io.Writer) {
	for _, p := range r.parts {
		fmt.Fprintf(w, "\n%s\n\n", p.name)
		p.table(w)
	}
}

func (p *partResult) table(w io.Writer) {
	slices.SortStableFunc(p.rows, func(a, b *row) int { return cmp.Compare(a.walls().median, b.walls().median) })
	own := p.rows[0]
	for _, row := range p.rows {
		if row.program == "dovemend" {
			own = row
		}
	}
	fmt.Fprintln(w, "| program | seconds | least to most | dovemend takes | peak memory | processor here |")
	fmt.Fprintln(w, "|---|---|---|---|---|---|")
	for _, row := range p.rows {
		s := row.walls()
		name := row.program
		if row.files > 0 {
			name += fmt.Sprintf(" (%d files)", row.files)
		}
		switch n := len(row.runs); {
		case n == 1 && len(own.runs) > 1:
			name += " (one round)"
		case n < len(own.runs):
			name += fmt.Sprintf(" (%d rounds)", n)
		}
		ratio := "–"
		if x, ok := row.ratio(own); ok && row != own && row.files == 0 && own.program == "dovemend" {
			ratio = fmt.Sprintf("%.2f of it (%.2f to %.2f)", x.median, x.least, x.most)
		}
		var peak int64
		var cpu []float64
		for _, f := range row.runs {
			peak = max(peak, f.peak)
			cpu = append(cpu, f.cpu.Seconds())
		}
		fmt.Fprintf(w, "| %s | %.2f | %.2f to %.2f | %s | %d MiB | %.2f s |\n", name, s.median, s.least, s.most, ratio, peak>>20, spreadOf(cpu).median)
	}
}

// write writes docs/performance.md: what stands above the first table stays.
func (r *results) write(file string) error {
	old, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	const mark = "<!-- what follows is written by repair/performance -->\n"
	head, _, ok := strings.Cut(string(old), mark)
	if !ok {
		return fmt.Errorf("%s: has no line %q", file, mark)
	}
	var b strings.Builder
	b.WriteString(head + mark)
	stolen := 0.0
	for _, p := range r.parts {
		for _, row := range p.rows {
			stolen = max(stolen, row.stolen)
		}
	}
	fmt.Fprintf(&b, "\nMeasured %s, %d rounds. %s At most %.0f %% of the processors' time was taken by other machines of the same hardware during a run.\n",
		time.Now().Format(time.DateOnly), r.rounds, machine(), 100*stolen)
	for _, p := range r.parts {
		corpus, rest, _ := strings.Cut(p.name, "/")
		way, op, _ := strings.Cut(rest, "/")
		i := slices.IndexFunc(operations, func(o operation) bool { return o.name == op })
		fmt.Fprintf(&b, "\n## %s, %s: %s\n\n", corpus, way, operations[i].title)
		p.table(&b)
	}
	return os.WriteFile(file, []byte(b.String()), 0o644)
}

// machine says with what it was measured.
func machine() string {
	var parts []string
	for _, c := range [][]string{{"ssh", "-V"}, {"rsync", "--version"}, {"rclone", "version"}, {"lftp", "--version"}, {"tar", "--version"}} {
		out, err := exec.Command(c[0], c[1:]...).CombinedOutput()
		if line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n"); err == nil && line != "" {
			if i := strings.Index(line, ","); i > 0 {
				line = line[:i]
			}
			parts = append(parts, strings.Join(strings.Fields(line), " "))
		}
	}
	return strings.Join(parts, "; ") + "."
}

package registryimport

import (
	"cmp"
	"slices"
	"sync"
)

// A State says what became of a version or an image.
type State string

// The states.
const (
	// Planned is what a run would import that only plans.
	Planned State = "planned"
	// Imported is new at the destination, or has something new.
	Imported State = "imported"
	// Held was there already.
	Held State = "held"
	// Skipped cannot be imported because of what it is at the source.
	Skipped State = "skipped"
	// Different is at the destination with other bytes, which stay.
	Different State = "different"
	// Failed could not be imported.
	Failed State = "failed"
)

// An Entry is a version or an image that needs attention.
type Entry struct {
	State   State  `json:"state"`
	Name    string `json:"name"`
	Message string `json:"message"`
}

// Counts are what became of the versions of a format, or of images.
type Counts struct {
	Planned   int `json:"planned"`
	Imported  int `json:"imported"`
	Held      int `json:"held"`
	Skipped   int `json:"skipped"`
	Different int `json:"different"`
	Failed    int `json:"failed"`
	// Bytes is the size of the files that were sent or, if a run only plans, would be.
	Bytes int64 `json:"bytes"`
}

// A Report says what became of everything. It may be used by many goroutines.
type Report struct {
	mu      sync.Mutex
	counts  map[string]*Counts
	entries []Entry
	// Step is called for each version or image, with its name and its state.
	Step func(name string, state State)
}

// NewReport returns an empty report.
func NewReport(step func(name string, state State)) *Report {
	return &Report{counts: map[string]*Counts{}, Step: step}
}

func (r *Report) add(format, name string, state State, message string) {
	r.mu.Lock()
	c := r.of(format)
	switch state {
	case Planned:
		c.Planned++
	case Imported:
		c.Imported++
	case Held:
		c.Held++
	case Skipped:
		c.Skipped++
	case Different:
		c.Different++
	case Failed:
		c.Failed++
	}
	if message != "" {
		r.entries = append(r.entries, Entry{state, name, message})
	}
	r.mu.Unlock()
	r.Step(name, state)
}

func (r *Report) moved(format string, n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.of(format).Bytes += n
}

func (r *Report) of(format string) *Counts {
	c := r.counts[format]
	if c == nil {
		c = new(Counts)
		r.counts[format] = c
	}
	return c
}

// Counts are the counts by format; those of images are under "oci".
func (r *Report) Counts() map[string]Counts {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := map[string]Counts{}
	for format, c := range r.counts {
		all[format] = *c
	}
	return all
}

// Entries are what needs attention, in the order of their names.
func (r *Report) Entries() []Entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := slices.Clone(r.entries)
	slices.SortFunc(all, func(a, b Entry) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// Complete reports whether nothing failed and nothing is different.
func (r *Report) Complete() bool {
	for _, c := range r.Counts() {
		if c.Failed+c.Different > 0 {
			return false
		}
	}
	return true
}

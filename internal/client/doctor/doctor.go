// Package doctor looks over the machine of somebody whose tools ask AWS, or a
// Gatehouse, for tokens: what is wrong, and for each trouble the line that mends
// it.
//
// A [Check] looks at one thing and answers with [Finding]s. The checks are listed
// in [Machine.Checks], each group in a file of its own; they know of each other
// only what they share through [Machine]: what the AWS configuration is, and what
// the tools' configurations name. [Run] runs them side by side and gives up on
// those that take too long.
//
// Nothing is changed, nothing that is found out is kept, and no finding holds a
// secret.
package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"
)

// A State is how well a thing is.
type State int

const (
	// OK is as it should be.
	OK State = iota
	// Skipped could not be looked at, since another check has found why not.
	Skipped
	// Warning is what works now, or works for most.
	Warning
	// Trouble is what stops somebody from working.
	Error
)

var states = []string{"ok", "skipped", "warning", "error"}

func (s State) String() string { return states[s] }

// MarshalText writes the state as a word.
func (s State) MarshalText() ([]byte, error) { return []byte(states[s]), nil }

// A Finding is what a check says about one thing.
type Finding struct {
	// Check is the name of the check.
	Check string `json:"check"`
	// Subject is what it is about, where the check looks at many: a tool, a file.
	Subject string `json:"subject,omitempty"`
	State   State  `json:"state"`
	// What is a sentence without its full stop.
	Message string `json:"message"`
	// Mend are lines of a POSIX shell that mend it; "" where there is nothing to
	// mend, or only a person can.
	Fix string `json:"fix,omitempty"`
}

// A Check looks at one thing.
type Check struct {
	// Name is what the findings are called: a word or two.
	Name string
	// Look returns what there is to say. It fills in neither Check, nor anything
	// that is secret, and ends soon after its context.
	Run func(context.Context) []Finding
}

// Findings are the answer of all checks, in their order.
type Findings []Finding

// Run runs the checks side by side, each for as long as timeout at the most.
func Run(ctx context.Context, checks []Check, timeout time.Duration) Findings {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	found := make([][]Finding, len(checks))
	var wait sync.WaitGroup
	for i, c := range checks {
		wait.Go(func() { found[i] = c.run(ctx, timeout) })
	}
	wait.Wait()
	var all Findings
	for i, c := range checks {
		for _, f := range found[i] {
			f.Check, f.Message = c.Name, withoutTokens(f.Message)
			all = append(all, f)
		}
	}
	return all
}

// run waits for the check, but no longer than for its context: it may be at
// something that cannot be interrupted.
func (c Check) run(ctx context.Context, timeout time.Duration) []Finding {
	done := make(chan []Finding, 1)
	go func() { done <- c.Run(ctx) }()
	select {
	case found := <-done:
		return found
	case <-ctx.Done():
	}
	select { // what ended at the same moment counts
	case found := <-done:
		return found
	default:
		return []Finding{{State: Warning, Message: fmt.Sprintf("gave up after %v", timeout)}}
	}
}

// Count is how many findings are of a state.
func (f Findings) Count(s State) int {
	n := 0
	for _, one := range f {
		if one.State == s {
			n++
		}
	}
	return n
}

// MarshalJSON writes the findings with how many are bad.
func (f Findings) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Errors   int       `json:"errors"`
		Warnings int       `json:"warnings"`
		Findings []Finding `json:"findings"`
	}{f.Count(Error), f.Count(Warning), f})
}

func passed(format string, args ...any) Finding {
	return Finding{State: OK, Message: fmt.Sprintf(format, args...)}
}

func skipped(format string, args ...any) Finding {
	return Finding{State: Skipped, Message: fmt.Sprintf(format, args...)}
}

func warning(fix, format string, args ...any) Finding {
	return Finding{State: Warning, Message: fmt.Sprintf(format, args...), Fix: fix}
}

func failed(fix, format string, args ...any) Finding {
	return Finding{State: Error, Message: fmt.Sprintf(format, args...), Fix: fix}
}

// about names what the finding is about.
func (f Finding) withSubject(subject string) Finding {
	f.Subject = subject
	return f
}

// Package doctor checks a machine whose tools get tokens from AWS or from a
// Gatehouse. It says what is wrong, and for each problem shows the lines that fix
// it.
//
// A [Check] looks at one thing and returns [Finding]s. [Machine.Checks] lists the
// checks; each group of them is in a file of its own. They share what [Machine]
// finds out once: the AWS configuration, the caller, and what the tools'
// configurations say. [Run] runs them in parallel and gives up on those that take
// too long. [Findings] print themselves as text and as JSON.
//
// The package changes nothing, stores nothing, and puts no secret into a finding.
// It asks AWS as any client would and knows nothing of the server.
package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"
)

// A State says how good a finding is.
type State int

const (
	// OK means that everything is as it should be.
	OK State = iota
	// Skipped means that it could not be checked, for a reason that another check
	// reports.
	Skipped
	// Warning means that it works now, or works for most tools.
	Warning
	// Error means that a tool does not get its token.
	Error
)

var states = []string{"ok", "skipped", "warning", "error"}

func (s State) String() string { return states[s] }

// MarshalText writes the state as a word.
func (s State) MarshalText() ([]byte, error) { return []byte(states[s]), nil }

// A Finding is the result of a check for one subject.
type Finding struct {
	// Check is the name of the check.
	Check string `json:"check"`
	// Subject is a tool or a file, if the check looks at several.
	Subject string `json:"subject,omitempty"`
	State   State  `json:"state"`
	// Message is a sentence without its full stop.
	Message string `json:"message"`
	// Fix are lines for a POSIX shell that fix the problem; "" if there is none, or
	// if no command can.
	Fix string `json:"fix,omitempty"`
}

// A Check checks one thing.
type Check struct {
	// Name is the name of the findings: a word or two.
	Name string
	// Run returns the findings without their Check. They hold no secret. It ends soon
	// after its context.
	Run func(context.Context) []Finding
}

// Findings are the results of all checks, in the order of the checks.
type Findings []Finding

// Run runs the checks in parallel, each for at most timeout.
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

// run waits for the check, but no longer than its context lasts: the check may be
// in a call that cannot be interrupted.
func (c Check) run(ctx context.Context, timeout time.Duration) []Finding {
	done := make(chan []Finding, 1)
	go func() { done <- c.Run(ctx) }()
	select {
	case found := <-done:
		return found
	case <-ctx.Done():
	}
	select { // a check that ended at the same moment counts
	case found := <-done:
		return found
	default:
		return []Finding{{State: Warning, Message: fmt.Sprintf("gave up after %v", timeout)}}
	}
}

// Count is the number of findings with a state.
func (f Findings) Count(s State) int {
	n := 0
	for _, one := range f {
		if one.State == s {
			n++
		}
	}
	return n
}

// MarshalJSON writes the findings with the numbers of errors and warnings.
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

// withSubject sets the subject of a finding.
func (f Finding) withSubject(subject string) Finding {
	f.Subject = subject
	return f
}

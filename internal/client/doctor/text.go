package doctor

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// colours are ANSI escape sequences by state: green, grey, yellow, red.
var colours = map[State]string{OK: "\x1b[32m", Skipped: "\x1b[90m", Warning: "\x1b[33m", Error: "\x1b[1;31m"}

// A Palette colours the states; the zero Palette does not.
type Palette map[State]string

// Terminal is the palette of a terminal.
func Terminal() Palette { return colours }

func (p Palette) paint(s State, text string) string {
	if p[s] == "" {
		return text
	}
	return p[s] + text + "\x1b[0m"
}

// WriteText writes the findings for a person: one line each, in columns, and below
// it the lines that fix the problem, ready to be pasted.
func (f Findings) WriteText(w io.Writer, p Palette) error {
	var wide [2]int
	for _, one := range f {
		wide[0] = max(wide[0], utf8.RuneCountInString(one.State.String()))
		wide[1] = max(wide[1], utf8.RuneCountInString(one.name()))
	}
	var out strings.Builder
	for _, one := range f {
		state := one.State.String()
		fmt.Fprintf(&out, "%s%s  %s%s  %s\n", p.paint(one.State, state), pad(state, wide[0]), one.name(), pad(one.name(), wide[1]), one.Message)
		if one.Fix == "" {
			continue
		}
		for line := range strings.SplitSeq(one.Fix, "\n") {
			fmt.Fprintf(&out, "%s    %s\n", pad("", wide[0]+wide[1]), line)
		}
	}
	fmt.Fprintf(&out, "\n%s\n", f.summary())
	_, err := io.WriteString(w, out.String())
	return err
}

// name is the name of the check with the subject.
func (f Finding) name() string {
	if f.Subject == "" {
		return f.Check
	}
	return f.Check + " " + f.Subject
}

func pad(text string, width int) string {
	return strings.Repeat(" ", max(0, width-utf8.RuneCountInString(text)))
}

func (f Findings) summary() string {
	errors, warnings := f.Count(Error), f.Count(Warning)
	if errors+warnings == 0 {
		return "No problems found."
	}
	return count(errors, "error") + ", " + count(warnings, "warning") + "."
}

func count(n int, what string) string {
	switch n {
	case 0:
		return "no " + what
	case 1:
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

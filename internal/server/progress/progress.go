// Package progress is how long-running maintenance (backup, restore, verify, migrate)
// says how far it is. The command line draws bars from it, or nothing.
package progress

// A Unit is what a [Phase] counts.
type Unit int

// The units.
const (
	Items Unit = iota
	Bytes
)

// A Reporter is told what is being done. It is safe for use by many goroutines.
type Reporter interface {
	// Begin begins a phase, such as "blobs". total is how much there is to do, or 0 if
	// that is unknown.
	Begin(name string, total int64, unit Unit) Phase
}

// A Phase is one part of the work. It is safe for use by many goroutines.
type Phase interface {
	// Add says that n more are done.
	Add(n int64)
	// End ends the phase, complete or not.
	End()
}

// Silent ignores everything.
var Silent Reporter = silent{}

type silent struct{}

func (silent) Begin(string, int64, Unit) Phase { return silent{} }
func (silent) Add(int64)                       {}
func (silent) End()                            {}

package db

import "slices"

// Finished says which transactions were finished at one moment: those with a
// [Tx.Position] below Below that is not among Running.
type Finished struct {
	Below   int64
	Running []int64 // in order
}

// Has reports whether the transaction with the position was finished.
func (f Finished) Has(position int64) bool {
	_, running := slices.BinarySearch(f.Running, position)
	return position < f.Below && !running
}

// Horizon returns the number below which all were finished.
func (f Finished) Horizon() int64 {
	if len(f.Running) > 0 {
		return min(f.Running[0], f.Below)
	}
	return f.Below
}

package backup

import (
	"hash/maphash"
	"slices"
)

// A nameSet is a set of object names in 8 bytes each. Two names can have the same
// hash, and then the set has both: an object that is not needed stays, which costs
// nothing but room.
type nameSet []uint64

var seed = maphash.MakeSeed()

func hashOf(name string) uint64 { return maphash.String(seed, name) }

// compact sorts the set and removes doubles, after names were appended.
func (s *nameSet) compact() {
	slices.Sort(*s)
	*s = slices.Compact(*s)
}

// has reports whether the set has the name. The set is compact.
func (s nameSet) has(name string) bool {
	_, ok := slices.BinarySearch(s, hashOf(name))
	return ok
}

package proxy

import "io"

// NewReplaceReader is for tests. The arguments are old and new texts in turn.
func NewReplaceReader(source io.Reader, oldnew ...string) io.Reader {
	var pairs []pair
	for i := 0; i+1 < len(oldnew); i += 2 {
		pairs = append(pairs, pair{[]byte(oldnew[i]), []byte(oldnew[i+1])})
	}
	return newReplaceReader(source, pairs)
}

// CheckPath is for the tests.
var CheckPath = checkPath

// RenewAfter is for the tests.
const RenewAfter = renewAfter

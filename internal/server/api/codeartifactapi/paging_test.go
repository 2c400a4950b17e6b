package codeartifactapi

import (
	"slices"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
)

// FuzzPlace reads what clients send as nextToken: it is refused, or it is n
// texts that make the same token again.
func FuzzPlace(f *testing.F) {
	f.Add("", 1)
	f.Add("garbage", 1)
	f.Add(*nextToken(true, "a", "b", ""), 3)
	f.Add(*nextToken(true, "é\x00\"", "<"), 2)
	f.Fuzz(func(t *testing.T, token string, n int) {
		if n < 0 || n > 3 {
			return
		}
		got, err := place(&token, n)
		if err != nil {
			if !fault.Is(err, "Validation") {
				t.Fatal(err)
			}
			return
		}
		if len(got) != n {
			t.Fatalf("%q", got)
		}
		again, err := place(nextToken(true, got...), n)
		if err != nil || !slices.Equal(again, got) {
			t.Fatalf("%q became %q, %v", got, again, err)
		}
	})
}

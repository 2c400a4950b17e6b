package randid_test

import (
	"regexp"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/randid"
)

func TestUUID(t *testing.T) {
	form := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	checkIDs(t, randid.UUID, form)
}

func TestText(t *testing.T) {
	checkIDs(t, randid.Text, regexp.MustCompile(`^[a-z2-7]{26}$`))
}

func checkIDs(t *testing.T, newID func() string, form *regexp.Regexp) {
	t.Helper()
	seen := map[string]bool{}
	for range 1000 {
		id := newID()
		if !form.MatchString(id) {
			t.Fatalf("%q does not match %s", id, form)
		}
		if seen[id] {
			t.Fatalf("%s came twice", id)
		}
		seen[id] = true
	}
}

func BenchmarkUUID(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		randid.UUID()
	}
}

func TestRow(t *testing.T) {
	seen := map[int64]bool{}
	for range 1000 {
		row := randid.Row()
		if row < 0 || seen[row] {
			t.Fatalf("%d is negative or came twice", row)
		}
		seen[row] = true
	}
}

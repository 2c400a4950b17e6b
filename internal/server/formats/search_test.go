package formats_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
)

// A word costs a search through the text of every package. A query of half a million
// words once took minutes.
func TestSearchWords(t *testing.T) {
	words, err := formats.SearchWords("  JSON parser json " + strings.Repeat("a ", 100_000))
	if err != nil || !slices.Equal(words, []string{"json", "parser", "a"}) {
		t.Fatalf("%d words, %v", len(words), err)
	}
	var many strings.Builder
	for i := range 33 {
		many.WriteString(strconv.Itoa(i) + " ")
	}
	if _, err := formats.SearchWords(many.String()); !fault.Is(err, "TooManyWords") {
		t.Fatal(err)
	}
	if !formats.ContainsAll("json\nfast parser", []string{"json", "pars"}) || formats.ContainsAll("json", []string{"json", "x"}) {
		t.Fatal("ContainsAll")
	}
}

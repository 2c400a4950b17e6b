package ecrapi_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/aws/wire"
	edge "github.com/gatehouse-registry/gatehouse/internal/server/api/ecrapi"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/iamtest"
)

// TestOperations_Documented checks that README.md and docs/ecr.md have the number of
// operations that are built, and that the table says of each one whether it is.
func TestOperations_Documented(t *testing.T) {
	s, err := wire.New("ecr", iamtest.New(t).Options("ecr", edge.MapError))
	if err != nil {
		t.Fatal(err)
	}
	edge.Register(s, edge.New(edge.Config{}))
	read := func(file string) string {
		text, err := os.ReadFile("../../../../" + file)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	table := read("docs/ecr.md")
	rows := strings.Split(table, "\n")
	built := 0
	for _, op := range s.Operations() {
		handled := s.Handled(op)
		if handled {
			built++
		}
		found := 0
		for _, row := range rows {
			cells := strings.Split(row, "|")
			if len(cells) == 4 && strings.Contains(cells[1], "`"+op+"`") {
				found++
				if says := strings.Contains(cells[2], "not built"); says == handled {
					t.Errorf("docs/ecr.md: %s", row)
				}
			}
		}
		if found != 1 {
			t.Errorf("docs/ecr.md has %d rows with %s", found, op)
		}
	}
	for file, text := range map[string]string{"docs/ecr.md": table, "README.md": read("README.md")} {
		if want := fmt.Sprintf("%d of %d operations", built, len(s.Operations())); !strings.Contains(text, want) {
			t.Errorf("%s does not say %q", file, want)
		}
	}
}

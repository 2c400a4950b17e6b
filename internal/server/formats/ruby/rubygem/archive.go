package rubygem

import (
	"context"
	"io"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/archive"
)

// maxFiles is how many files a gem may have beside each other: RubyGems writes three, and
// a signature of each.
const maxFiles = 64

// Read reads the specification of a gem of size bytes: a tar with metadata.gz,
// data.tar.gz and checksums.yaml.gz in any order. The data are not unpacked. As for
// RubyGems, the first metadata.gz counts.
func Read(ctx context.Context, r io.Reader, size int64) (*Gem, error) {
	// The tar is not compressed: its content is as large as the gem.
	budget := archive.NewBudget(ctx, archive.Limits{Entries: maxFiles, Unpacked: size + 2*maxYAML})
	t, err := budget.Tar(r)
	if err != nil {
		return nil, err
	}
	var g *Gem
	data := false
	for g == nil || !data {
		f, err := t.Next()
		if err == io.EOF {
			return nil, fault.New(fault.Invalid, "InvalidGem", "The file is not a gem: it does not have the files metadata.gz and data.tar.gz.")
		}
		if err != nil {
			return nil, err
		}
		switch {
		case f.Name == "data.tar.gz":
			data = true
		case f.Name == "metadata.gz" && g == nil:
			raw, err := budget.Gunzip(f, f.Name, maxYAML)
			if err != nil {
				return nil, err
			}
			if g, err = ParseSpecification(raw); err != nil {
				return nil, fault.Wrap(err, fault.Invalid, "InvalidGem", "The specification of the gem cannot be read. The reason: %s.", strings.TrimSuffix(err.Error(), "."))
			}
		}
	}
	return g, nil
}

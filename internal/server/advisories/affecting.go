package advisories

import (
	"strings"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/images/vulnerability"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// The [Service] is what package images compares the packages in images with.
var _ vulnerability.Advisories = (*Service)(nil)

// Affecting implements [vulnerability.Advisories].
func (s *Service) Affecting(ecosystem, name, version string) (out []vulnerability.Advisory) {
	id, ok := packageOf(ecosystem, name)
	if !ok {
		return nil
	}
	compare := orderOf(id.Format)
	for _, a := range s.About(id) {
		if fixed, affected := affects(a, compare, version); affected {
			out = append(out, vulnerability.Advisory{
				ID: a.ID, Aliases: a.Aliases, Summary: a.Summary, Severity: imageSeverities[a.Severity],
				Vector: a.Score, Score: scoreOf(a.Score), URL: a.URL, CWEs: a.CWEs, Published: a.Published, Modified: a.Modified, Fixed: fixed,
			})
		}
	}
	return out
}

// Knows implements [vulnerability.Advisories].
func (s *Service) Knows(ecosystem string) bool {
	format := ecosystem
	if f, ok := ecosystems[ecosystem]; ok {
		format = string(f)
	}
	return s.index.Load().formats[format] > 0
}

// Changed implements [vulnerability.Advisories].
func (s *Service) Changed() time.Time { return s.index.Load().changed }

// at returns the index with the time of its last change.
func (x *index) at(t time.Time) *index {
	if t.After(x.changed) {
		next := *x
		next.changed = t.UTC().Truncate(time.Microsecond)
		return &next
	}
	return x
}

var imageSeverities = map[packages.Severity]vulnerability.Severity{
	packages.Low: vulnerability.Low, packages.Moderate: vulnerability.Medium, packages.High: vulnerability.High, packages.Critical: vulnerability.Critical,
}

func scoreOf(vector string) float64 {
	switch {
	case strings.HasPrefix(vector, "CVSS:3."):
		score, _ := score3(vector)
		return score
	case strings.HasPrefix(vector, header4):
		score, _ := score4(vector)
		return score
	}
	return 0
}

package advisories

import (
	"math"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// cvss returns the vector and the severity of a score of OSV. Only versions 3 and 3.1 are
// computed (FIRST, "Common Vulnerability Scoring System v3.1: Specification Document",
// section 7.1); of others, the severity is unknown.
func cvss(kind, vector string) (string, packages.Severity) {
	if kind != "CVSS_V3" || len(vector) > maxText || !strings.HasPrefix(vector, "CVSS:3.") {
		return "", packages.UnknownSeverity
	}
	metrics := map[string]string{}
	for part := range strings.SplitSeq(vector, "/") {
		name, value, _ := strings.Cut(part, ":")
		metrics[name] = value
	}
	score, ok := baseScore(metrics)
	switch {
	case !ok:
		return "", packages.UnknownSeverity
	case score >= 9:
		return vector, packages.Critical
	case score >= 7:
		return vector, packages.High
	case score >= 4:
		return vector, packages.Moderate
	case score > 0:
		return vector, packages.Low
	}
	return vector, packages.UnknownSeverity
}

var (
	attackVector    = map[string]float64{"N": 0.85, "A": 0.62, "L": 0.55, "P": 0.2}
	complexity      = map[string]float64{"L": 0.77, "H": 0.44}
	privileges      = map[string]float64{"N": 0.85, "L": 0.62, "H": 0.27}
	scopePrivileges = map[string]float64{"N": 0.85, "L": 0.68, "H": 0.5}
	interaction     = map[string]float64{"N": 0.85, "R": 0.62}
	impactOf        = map[string]float64{"H": 0.56, "L": 0.22, "N": 0}
)

func baseScore(m map[string]string) (score float64, ok bool) {
	changed := m["S"] == "C"
	pr := privileges
	if changed {
		pr = scopePrivileges
	}
	ok = changed || m["S"] == "U"
	value := func(table map[string]float64, name string) float64 {
		v, known := table[m[name]]
		ok = ok && known
		return v
	}
	exploitability := 8.22 * value(attackVector, "AV") * value(complexity, "AC") * value(pr, "PR") * value(interaction, "UI")
	iss := 1 - (1-value(impactOf, "C"))*(1-value(impactOf, "I"))*(1-value(impactOf, "A"))
	impact := 6.42 * iss
	if changed {
		impact = 7.52*(iss-0.029) - 3.25*math.Pow(iss-0.02, 15)
	}
	if impact <= 0 {
		return 0, ok
	}
	total := impact + exploitability
	if changed {
		total *= 1.08
	}
	return roundUp(min(total, 10)), ok
}

// roundUp is Roundup of appendix A: to one decimal, without errors of floating point.
func roundUp(x float64) float64 {
	i := int(math.Round(x * 100_000))
	if i%10_000 == 0 {
		return float64(i) / 100_000
	}
	return (math.Floor(float64(i)/10_000) + 1) / 10
}

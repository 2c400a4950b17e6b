package advisories

import (
	"math"
	"strings"

	gocvss40 "github.com/pandatix/go-cvss/40"

	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// cvss returns the vector and the severity of a score of OSV; of other versions than 3 and
// 4, the severity is unknown. The severity follows from the base metrics in both: threat
// and environment differ from site to site, and what a document says about them could
// only be older than what is known here.
func cvss(kind, vector string) (string, packages.Severity) {
	if len(vector) > maxVector {
		return "", packages.UnknownSeverity
	}
	var score float64
	var ok bool
	switch {
	case kind == "CVSS_V3" && (strings.HasPrefix(vector, "CVSS:3.0/") || strings.HasPrefix(vector, "CVSS:3.1/")):
		score, ok = score3(vector)
	case kind == "CVSS_V4" && strings.HasPrefix(vector, header4):
		score, ok = score4(vector)
	}
	if !ok {
		return "", packages.UnknownSeverity
	}
	return vector, rating(score)
}

// rating is the qualitative rating of a base score, which is the same in CVSS 3
// (specification, section 5) and CVSS 4 (section 6).
func rating(score float64) packages.Severity {
	switch {
	case score >= 9:
		return packages.Critical
	case score >= 7:
		return packages.High
	case score >= 4:
		return packages.Moderate
	case score > 0:
		return packages.Low
	}
	return packages.UnknownSeverity
}

// maxVector is the size of the longest vector that is read, in bytes. One of CVSS 4 with
// all of its metrics has about 190.
const maxVector = 300

// The base metrics of CVSS 4 in their order, with their values (FIRST, "Common
// Vulnerability Scoring System v4.0: Specification Document", table 23).
const header4 = "CVSS:4.0/"

var base4 = [...]struct{ name, values string }{
	{"AV", "NALP"},
	{"AC", "LH"},
	{"AT", "NP"},
	{"PR", "NLH"},
	{"UI", "NPA"},
	{"VC", "HLN"},
	{"VI", "HLN"},
	{"VA", "HLN"},
	{"SC", "HLN"},
	{"SI", "HLN"},
	{"SA", "HLN"},
}

// score4 is the base score of a vector of CVSS 4. The library panics on some vectors, so
// it only gets base metrics with known values, of which a test tries all.
func score4(vector string) (score float64, ok bool) {
	parts := strings.SplitN(strings.TrimPrefix(vector, header4), "/", len(base4)+1)
	if len(parts) < len(base4) {
		return 0, false
	}
	for i, metric := range base4 {
		name, value, _ := strings.Cut(parts[i], ":")
		if name != metric.name || len(value) != 1 || !strings.Contains(metric.values, value) {
			return 0, false
		}
	}
	parsed, err := gocvss40.ParseVector(header4 + strings.Join(parts[:len(base4)], "/"))
	if err != nil {
		return 0, false
	}
	return parsed.Score(), true
}

var (
	attackVector    = map[string]float64{"N": 0.85, "A": 0.62, "L": 0.55, "P": 0.2}
	complexity      = map[string]float64{"L": 0.77, "H": 0.44}
	privileges      = map[string]float64{"N": 0.85, "L": 0.62, "H": 0.27}
	scopePrivileges = map[string]float64{"N": 0.85, "L": 0.68, "H": 0.5}
	interaction     = map[string]float64{"N": 0.85, "R": 0.62}
	impactOf        = map[string]float64{"H": 0.56, "L": 0.22, "N": 0}
)

// score3 is the base score of a vector of CVSS 3 (FIRST, "Common Vulnerability Scoring
// System v3.1: Specification Document", section 7.1).
func score3(vector string) (score float64, ok bool) {
	m := map[string]string{}
	for part := range strings.SplitSeq(vector, "/") {
		name, value, _ := strings.Cut(part, ":")
		if _, repeated := m[name]; repeated {
			return 0, false
		}
		m[name] = value
	}
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

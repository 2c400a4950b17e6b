package formats

import (
	"net/http"
	"strconv"
	"strings"
)

// Negotiate chooses the media type to answer with: the offer that the request's
// Accept header likes best, and the earlier offer of two that it likes equally
// (RFC 9110, 12.5.1). Without an Accept header that is the first offer. ok is
// false where the header rules every offer out.
func Negotiate(h http.Header, offers ...string) (offer string, ok bool) {
	ranges := parseQualities(h["Accept"])
	if len(ranges) == 0 {
		return offers[0], true
	}
	best := 0.0
	for _, o := range offers {
		if q := mediaQuality(ranges, o); q > best {
			best, offer = q, o
		}
	}
	return offer, best > 0
}

// AcceptsGzip reports whether an answer may be coded with gzip (RFC 9110, 12.5.3).
func AcceptsGzip(h http.Header) bool {
	codings := parseQualities(h["Accept-Encoding"])
	for _, want := range []string{"gzip", "*"} {
		for _, c := range codings {
			if c.value == want {
				return c.q > 0
			}
		}
	}
	return false
}

// A quality is one member of an Accept or Accept-Encoding list.
type quality struct {
	value string
	q     float64
}

// maxQualities bounds how many members of a list are looked at.
const maxQualities = 64

// parseQualities reads the lists in the given header lines. Parameters other
// than q are dropped: no type served here has any.
func parseQualities(lines []string) []quality {
	var out []quality
	for _, line := range lines {
		for member := range strings.SplitSeq(line, ",") {
			value, params, _ := strings.Cut(member, ";")
			value = strings.ToLower(strings.TrimSpace(value))
			if value == "" {
				continue
			}
			if len(out) == maxQualities {
				return out
			}
			out = append(out, quality{value, weight(params)})
		}
	}
	return out
}

// weight is the q parameter: 1 without one, and 0 for one that is no weight.
func weight(params string) float64 {
	for p := range strings.SplitSeq(params, ";") {
		k, v, _ := strings.Cut(strings.TrimSpace(p), "=")
		if !strings.EqualFold(strings.TrimSpace(k), "q") {
			continue
		}
		q, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
		if err != nil || !(q >= 0 && q <= 1) {
			return 0
		}
		return q
	}
	return 1
}

// mediaQuality is the weight that the most specific matching range gives.
func mediaQuality(ranges []quality, mediaType string) float64 {
	kind, _, _ := strings.Cut(mediaType, "/")
	for _, want := range []string{mediaType, kind + "/*", "*/*"} {
		for _, r := range ranges {
			if r.value == want {
				return r.q
			}
		}
	}
	return 0
}

// Package httpheader reads the request headers by which a client says what it
// has and what it accepts: If-None-Match, Accept and Accept-Encoding (RFC 9110,
// sections 13.1.2, 12.5.1 and 12.5.3). Server and client side share it. It reads
// headers and writes none.
//
// A header may come in several lines, each a list; every function takes them
// all. What cannot be read counts as if it were not there: a request never fails
// because of these headers.
package httpheader

import (
	"net/http"
	"strconv"
	"strings"
)

// NoneMatch reports whether If-None-Match names one of the entity tags, or is
// "*": the client has the content already and gets 304. The tags are given with
// their quotes. They are compared weakly, as this header asks for, and a tag that
// a client sends without quotes is taken as if it had them.
func NoneMatch(h http.Header, etags ...string) bool {
	for _, line := range h["If-None-Match"] {
		for rest := line; rest != ""; {
			var tag string
			tag, rest = nextTag(rest)
			if tag == "*" {
				return true
			}
			for _, etag := range etags {
				if tag != "" && tag == strings.TrimPrefix(etag, "W/") {
					return true
				}
			}
		}
	}
	return false
}

// nextTag takes one entity tag off a list, without the mark of a weak one. A
// comma is part of a quoted tag.
func nextTag(list string) (tag, rest string) {
	list = strings.TrimPrefix(strings.TrimLeft(list, " \t,"), "W/")
	if quoted, ok := strings.CutPrefix(list, `"`); ok {
		tag, rest, _ = strings.Cut(quoted, `"`)
		return `"` + tag + `"`, rest
	}
	tag, rest, _ = strings.Cut(list, ",")
	if tag = strings.TrimSpace(tag); tag == "" || tag == "*" {
		return tag, rest
	}
	return `"` + tag + `"`, rest
}

// Negotiate chooses the media type of an answer: the offer with the highest
// weight in the Accept header, and the earlier of two offers with the same
// weight. Without an Accept header that is the first offer. ok is false if the
// header rules every offer out.
func Negotiate(h http.Header, offers ...string) (offer string, ok bool) {
	ranges := parseWeights(h["Accept"])
	if len(ranges) == 0 {
		return offers[0], true
	}
	best := 0.0
	for _, o := range offers {
		if w := mediaWeight(ranges, o); w > best {
			best, offer = w, o
		}
	}
	return offer, best > 0
}

// AcceptsGzip reports whether the client takes an answer that is coded with gzip.
// A client that says nothing about codings does not.
func AcceptsGzip(h http.Header) bool {
	codings := parseWeights(h["Accept-Encoding"])
	for _, want := range []string{"gzip", "*"} {
		for _, c := range codings {
			if c.value == want {
				return c.weight > 0
			}
		}
	}
	return false
}

// A weighted value is one member of an Accept or Accept-Encoding list.
type weighted struct {
	value  string // in lower case
	weight float64
}

// maxMembers bounds how many members of a list are looked at.
const maxMembers = 64

// parseWeights reads the lists in the given header lines. Parameters other than q
// are dropped: no type served here has any.
func parseWeights(lines []string) []weighted {
	var out []weighted
	for _, line := range lines {
		for member := range strings.SplitSeq(line, ",") {
			value, params, _ := strings.Cut(member, ";")
			value = strings.ToLower(strings.TrimSpace(value))
			if value == "" {
				continue
			}
			if len(out) == maxMembers {
				return out
			}
			out = append(out, weighted{value, weight(params)})
		}
	}
	return out
}

// weight is the q parameter: 1 if it is missing, 0 if it is not a number from 0
// to 1.
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

// mediaWeight is the weight that the most specific matching range gives.
func mediaWeight(ranges []weighted, mediaType string) float64 {
	kind, _, _ := strings.Cut(mediaType, "/")
	for _, want := range []string{mediaType, kind + "/*", "*/*"} {
		for _, r := range ranges {
			if r.value == want {
				return r.weight
			}
		}
	}
	return 0
}

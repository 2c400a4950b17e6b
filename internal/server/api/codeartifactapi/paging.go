package codeartifactapi

import (
	"encoding/base64"
	"encoding/json"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
)

// pageSize is the length of a page where none is asked for.
const pageSize = 100

func limit(maxResults *int32) int {
	if maxResults == nil {
		return pageSize
	}
	return int(*maxResults) // 1 to 1000, as the model bounds it
}

// nextToken makes the token of the page behind the place, which is named by a
// fixed number of texts. It is nil where there is no further page.
func nextToken(more bool, place ...string) *string {
	if !more {
		return nil
	}
	b, err := json.Marshal(place)
	if err != nil {
		panic(err) // texts always marshal
	}
	t := base64.RawURLEncoding.EncodeToString(b)
	return &t
}

// place reads a token into the n texts of nextToken, which are empty without
// one.
func place(t *string, n int) ([]string, error) {
	out := make([]string, n)
	if t == nil {
		return out, nil
	}
	var p []string
	b, err := base64.RawURLEncoding.DecodeString(*t)
	if err == nil {
		err = json.Unmarshal(b, &p)
	}
	if err != nil || len(p) != n {
		return nil, fault.New(fault.Invalid, "Validation", "nextToken is not one that this operation returned.")
	}
	return p, nil
}

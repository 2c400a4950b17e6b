package resourcetags_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/resourcetags"
)

func many(n int) map[string]string {
	m := map[string]string{}
	for i := range n {
		m[fmt.Sprint("k", i)] = ""
	}
	return m
}

func TestMerge(t *testing.T) {
	old := map[string]string{"team": "a", "Env": "x"}
	for _, c := range []struct {
		name  string
		old   map[string]string
		added map[string]string
		want  resourcetags.Reason
	}{
		{"new value", old, map[string]string{"team": "b"}, 0},
		{"case matters", old, map[string]string{"env": "y"}, 0},
		{"fifty", nil, many(50), 0},
		{"fifty-one", map[string]string{"one": ""}, many(50), resourcetags.TooMany},
		{"empty key", old, map[string]string{"": "v"}, resourcetags.KeyLength},
		{"long key", old, map[string]string{strings.Repeat("k", 129): "v"}, resourcetags.KeyLength},
		{"key of 128 letters, not bytes", old, map[string]string{strings.Repeat("ä", 128): "v"}, 0},
		{"long value", old, map[string]string{"k": strings.Repeat("v", 257)}, resourcetags.ValueLength},
		{"reserved", old, map[string]string{"AWS:x": "v"}, resourcetags.ReservedKey},
	} {
		merged, err := resourcetags.Merge(c.old, c.added)
		if (err == nil) != (c.want == 0) || err != nil && err.Reason != c.want {
			t.Errorf("%s: %v, want reason %d", c.name, err, c.want)
			continue
		}
		for k, v := range c.added {
			if err == nil && merged[k] != v {
				t.Errorf("%s: %q is %q, want %q", c.name, k, merged[k], v)
			}
		}
	}
	if old["team"] != "a" || len(old) != 2 {
		t.Errorf("Merge changed its argument: %v", old)
	}
}

func TestMergeOrdered(t *testing.T) {
	old := []resourcetags.Tag{{Key: "b", Value: "1"}, {Key: "a", Value: "2"}}
	merged, err := resourcetags.MergeOrdered(old, []resourcetags.Tag{{Key: "A", Value: "3"}, {Key: "c", Value: "4"}})
	if want := []resourcetags.Tag{{Key: "b", Value: "1"}, {Key: "A", Value: "3"}, {Key: "c", Value: "4"}}; err != nil || !reflect.DeepEqual(merged, want) {
		t.Errorf("merged: %v, %v; want %v", merged, err, want)
	}
	if old[1].Key != "a" {
		t.Errorf("MergeOrdered changed its argument: %v", old)
	}
	_, err = resourcetags.MergeOrdered(nil, []resourcetags.Tag{{Key: "x"}, {Key: "X"}})
	if err == nil || err.Reason != resourcetags.DuplicateKey {
		t.Errorf("x and X in one request: %v", err)
	}
	_, err = resourcetags.MergeOrdered(nil, []resourcetags.Tag{{Key: "x!", Value: ""}})
	if err == nil || err.Reason != resourcetags.BadCharacters {
		t.Errorf("x!: %v", err)
	}
}

func TestWithout(t *testing.T) {
	tags := []resourcetags.Tag{{Key: "a"}, {Key: "B"}, {Key: "c"}}
	if got := resourcetags.Without(tags, []string{"A", "b", "none"}); !reflect.DeepEqual(got, tags[2:]) {
		t.Errorf("left: %v", got)
	}
}

package config_test

import (
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/source"
)

func TestRead_UpstreamCache(t *testing.T) {
	c, err := read(t, "upstream_cache: {fresh: 20s, documents: 7, stored: 1GiB}\nupstreams: {\"public:npmjs\": {cache: {fresh: 1m, document: 64MiB}}}\n")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	want := source.Settings{Fresh: 20 * time.Second, MaxDocuments: 7, MaxBytes: 1 << 30}.WithDefaults()
	want.IndexFresh = 0 // has no setting
	if got := c.UpstreamCache.Settings(); got != want {
		t.Errorf("settings = %+v, want %+v", got, want)
	}
	if got := c.Upstreams["public:npmjs"].Cache.Override(); got != (source.Override{Fresh: time.Minute, MaxDocument: 64 << 20}) {
		t.Errorf("settings of the upstream = %+v", got)
	}
}

func TestValidate_UpstreamCache(t *testing.T) {
	for text, want := range map[string]string{
		"upstream_cache: {fresh: 0s}":                          "upstream_cache.fresh (line 1): must be more than zero",
		"upstream_cache: {patience: -1s}":                      "upstream_cache.patience (line 1): ",
		"upstream_cache: {documents: 0}":                       "upstream_cache.documents (line 1): ",
		"upstream_cache: {stored: 0}":                          "upstream_cache.stored (line 1): ",
		"upstream_cache: {max_stale: 30s}":                     "upstream_cache.max_stale (line 1): must be at least 1m10s",
		"upstream_cache: {timeout: 1s}":                        "upstream_cache.timeout (line 1): must be at least 3s",
		"upstream_cache: {document: 1KiB}":                     "upstream_cache.document (line 1): must be 1MiB",
		"upstream_cache: {receiving: 128MiB}":                  "upstream_cache.receiving must be twice as large",
		"upstream_cache: {quick: 1s}":                          "quick",
		`upstreams: {"public:npmjs": {cache: {fresh: -1s}}}`:   "upstreams.public:npmjs.cache.fresh",
		`upstreams: {"public:npmjs": {cache: {fresh: 200h}}}`:  "must be at least 200h1m0s",
		`upstreams: {"public:npmjs": {cache: {memory: 1MiB}}}`: "memory",
	} {
		c, err := read(t, text+"\n")
		if err == nil {
			err = c.Validate()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

package config

import (
	"cmp"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/source"
)

// An UpstreamCache are the settings of what upstreams say of packages, all of them more
// than zero. See [source.Settings] for what they do.
type UpstreamCache struct {
	UpstreamTimes `yaml:",inline"`
	// ImageTags is how long a tag is used that came through a pull-through cache rule,
	// without asking the other registry.
	ImageTags time.Duration `yaml:"image_tags"`
	Receiving Size          `yaml:"receiving"`
	Documents int64         `yaml:"documents"`
	Stored    Size          `yaml:"stored"`
	Memory    Size          `yaml:"memory"`
}

// UpstreamTimes are the settings of one upstream. Those that are zero are as in
// upstream_cache.
type UpstreamTimes struct {
	Fresh      time.Duration `yaml:"fresh"`
	Background time.Duration `yaml:"background"`
	Missing    time.Duration `yaml:"missing"`
	Patience   time.Duration `yaml:"patience"`
	Retry      time.Duration `yaml:"retry"`
	MaxStale   time.Duration `yaml:"max_stale"`
	Timeout    time.Duration `yaml:"timeout"`
	Document   Size          `yaml:"document"`
}

func defaultUpstreamCache() UpstreamCache {
	s := source.Settings{}.WithDefaults()
	return UpstreamCache{
		UpstreamTimes: UpstreamTimes{s.Fresh, s.Background, s.Missing, s.Patience, s.Retry, s.MaxStale, s.Timeout, Size(s.MaxDocument)},
		ImageTags:     24 * time.Hour,
		Receiving:     Size(s.ReceivingBytes), Documents: s.MaxDocuments, Stored: Size(s.MaxBytes), Memory: Size(s.MemoryBytes),
	}
}

// Settings returns the settings for package source.
func (c UpstreamCache) Settings() source.Settings {
	return source.Settings{
		Fresh: c.Fresh, Background: c.Background, Missing: c.Missing, Patience: c.Patience, Retry: c.Retry, MaxStale: c.MaxStale,
		Timeout: c.Timeout, MaxDocument: int64(c.Document), ReceivingBytes: int64(c.Receiving),
		MaxDocuments: c.Documents, MaxBytes: int64(c.Stored), MemoryBytes: int64(c.Memory),
	}
}

// Override returns the settings of one upstream for package source.
func (t UpstreamTimes) Override() source.Override {
	return source.Override{
		Fresh: t.Fresh, Background: t.Background, Missing: t.Missing, Patience: t.Patience, Retry: t.Retry, MaxStale: t.MaxStale,
		Timeout: t.Timeout, MaxDocument: int64(t.Document),
	}
}

// minDocument is enough for the packages that have the most versions.
const minDocument = 1 << 20

func (c UpstreamCache) validate(bad func(setting, format string, args ...any)) {
	const zero = "must be more than zero; leave it out for the default"
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"fresh", c.Fresh},
		{"background", c.Background},
		{"missing", c.Missing},
		{"patience", c.Patience},
		{"retry", c.Retry},
		{"max_stale", c.MaxStale},
		{"timeout", c.Timeout},
		{"image_tags", c.ImageTags},
	} {
		if d.value <= 0 {
			bad("upstream_cache."+d.name, zero)
		}
	}
	if c.Documents <= 0 {
		bad("upstream_cache.documents", zero)
	}
	for _, s := range []struct {
		name  string
		value Size
	}{{"stored", c.Stored}, {"memory", c.Memory}} {
		if s.value <= 0 {
			bad("upstream_cache."+s.name, zero)
		}
	}
	c.UpstreamTimes.validate(bad, "upstream_cache", c)
}

// validate checks settings that are as in general if they are zero.
func (t UpstreamTimes) validate(bad func(setting, format string, args ...any), setting string, general UpstreamCache) {
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"fresh", t.Fresh},
		{"background", t.Background},
		{"missing", t.Missing},
		{"patience", t.Patience},
		{"retry", t.Retry},
		{"max_stale", t.MaxStale},
		{"timeout", t.Timeout},
	} {
		if d.value < 0 {
			bad(setting+"."+d.name, "must not be less than zero")
		}
	}
	if used := cmp.Or(t.Fresh, general.Fresh) + cmp.Or(t.Background, general.Background); cmp.Or(t.MaxStale, general.MaxStale) < used {
		bad(setting+".max_stale", "must be at least %v, which is fresh and background together", used)
	}
	if patience := cmp.Or(t.Patience, general.Patience); cmp.Or(t.Timeout, general.Timeout) < patience {
		bad(setting+".timeout", "must be at least %v, which is patience", patience)
	}
	document := cmp.Or(t.Document, general.Document)
	switch {
	case document < minDocument:
		bad(setting+".document", "must be %v or more: the documents of large packages have that", Size(minDocument))
	case general.Receiving < 2*document:
		bad(setting+".document", "upstream_cache.receiving must be twice as large or more: set it to %v", 2*document)
	}
}

package cargo

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/gatehouse-registry/gatehouse/internal/server/formats/cargo/stored"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
	"github.com/gatehouse-registry/gatehouse/internal/server/source"
)

// A config is what is used of a registry's config.json (The Cargo Book, "Registry Index",
// "Index Configuration").
type config struct {
	// Download is the address of files, a template.
	Download string `json:"dl"`
	read     time.Time
}

// markers may be in the address of files.
var markers = []string{"{crate}", "{version}", "{prefix}", "{lowerprefix}", "{sha256-checksum}"}

// address is the address of a .crate. A template without a marker is a folder.
func (c config) address(name, version, checksum string) string {
	template := c.Download
	hasMarker := false
	for _, m := range markers {
		hasMarker = hasMarker || strings.Contains(template, m)
	}
	if !hasMarker {
		template = strings.TrimSuffix(template, "/") + "/{crate}/{version}/download"
	}
	return strings.NewReplacer(
		"{crate}", name, "{version}", url.PathEscape(version), "{prefix}", stored.Prefix(name),
		"{lowerprefix}", stored.Prefix(strings.ToLower(name)), "{sha256-checksum}", checksum,
	).Replace(template)
}

// configAge is how long a config.json is used without asking for it again. It changes
// with a move of the registry's files.
const configAge = 5 * time.Minute

// configs are those of registries, by address.
type configs struct {
	now     func() time.Time
	flights singleflight.Group
	mu      sync.Mutex
	known   map[string]config
}

// of returns the configuration of a registry. One that is older is used while the
// registry fails.
func (c *configs) of(ctx context.Context, r *source.Registry) (config, error) {
	base := r.Client.Base()
	c.mu.Lock()
	known, ok := c.known[base]
	c.mu.Unlock()
	if age := c.now().Sub(known.read); ok && age >= 0 && age < configAge {
		return known, nil
	}
	// Do and not DoChan: a panic belongs to the question, which can bear it.
	answer, err, _ := c.flights.Do(base, func() (any, error) { return c.ask(ctx, r) })
	switch {
	case err == nil:
		return answer.(config), nil
	case ok:
		return known, nil
	}
	return config{}, err
}

func (c *configs) ask(ctx context.Context, r *source.Registry) (config, error) {
	read, err := readConfig(ctx, r)
	if err != nil {
		return config{}, err
	}
	read.read = c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known[r.Client.Base()] = read
	return read, nil
}

// maxConfig bounds a config.json, in bytes.
const maxConfig = 1 << 20

func readConfig(ctx context.Context, r *source.Registry) (config, error) {
	small := *r
	small.Settings.MaxDocument = maxConfig
	answer, err := small.Get(ctx, "config.json", "application/json", documentTypes, source.Validators{})
	if errors.Is(err, packages.ErrNoRemotePackage) {
		return config{}, &source.BadAnswer{What: "the registry has no config.json: is its address the one of a sparse index?"}
	}
	if err != nil {
		return config{}, err
	}
	defer answer.Body.Close()
	body := &source.FailingReader{R: answer.Body}
	text, err := io.ReadAll(body)
	if err != nil {
		return config{}, source.ReadError(err, body, "its config.json cannot be read")
	}
	var c config
	if err := json.Unmarshal(text, &c); err != nil {
		return config{}, &source.BadAnswer{What: "its config.json is not a JSON object", Err: err}
	}
	u, err := url.Parse(c.address("a", "1.0.0", strings.Repeat("0", 64)))
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil {
		return config{}, &source.BadAnswer{What: `"dl" of its config.json is not the address of files`}
	}
	return c, nil
}

package nuget

import (
	"context"
	"encoding/json"
	"net/url"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/gatehouse-registry/gatehouse/internal/server/formats/archive"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/nuget/nupkg"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
	"github.com/gatehouse-registry/gatehouse/internal/server/source"
)

// Config configures a [Codec].
type Config struct {
	// Archives bounds the memory of packages that are being read. nil does not.
	Archives *archive.Limiter
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// A Codec implements [source.DocumentCodec] and [source.Inspector].
type Codec struct {
	archives *archive.Limiter
	now      func() time.Time

	asking   singleflight.Group
	mu       sync.Mutex
	services map[string]*service // by connection
}

// New returns a codec.
func New(c Config) *Codec {
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Codec{archives: c.Archives, now: c.Now, services: map[string]*service{}}
}

// mediaTypes are those of documents. Registries that are folders of files do not know
// what is in them.
var mediaTypes = []string{"application/json", "text/json", "text/plain", "application/octet-stream"}

// Package implements [source.Codec].
func (c *Codec) Package(ctx context.Context, r *source.Registry, id packages.PackageID, known string) (*packages.RemotePackage, string, error) {
	if !nupkg.ValidID(id.Name) {
		return nil, "", packages.ErrNoRemotePackage // and it could lead elsewhere in an address
	}
	s, err := c.service(ctx, r)
	if err != nil {
		return nil, "", err
	}
	g := reading{registry: r, service: s, id: id}
	address := s.registrations + url.PathEscape(id.Name) + "/index.json"
	var before validators
	if known != "" {
		if err := json.Unmarshal([]byte(known), &before); err != nil {
			return nil, "", err
		}
	}
	p, after, err := g.read(ctx, address, before)
	if err != nil {
		return nil, "", err
	}
	text, err := json.Marshal(after)
	return p, string(text), err
}

// Document implements [source.DocumentCodec].
func (c *Codec) Document(ctx context.Context, r *source.Registry, d packages.DocumentRequest) (*source.DocumentPlace, error) {
	if d.Kind != packages.SearchResults {
		return nil, packages.ErrNoRemotePackage
	}
	s, err := c.service(ctx, r)
	if err != nil {
		return nil, err
	}
	return s.searchPlace(d.Search)
}

// Describe implements [source.Codec].
func (*Codec) Describe(_ packages.PackageID, metadata json.RawMessage) *packages.Description {
	var m nupkg.Manifest
	if err := json.Unmarshal(metadata, &m); err != nil {
		return &packages.Description{}
	}
	return m.Describe("")
}

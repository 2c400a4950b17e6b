// Package ruby reads registries of gems: the compact index (RubyGems Guides, "Compact Index
// API"), from which Bundler and newer versions of gem resolve. [Codec] implements
// [source.Codec].
//
// A package is the document info/NAME. It is kept as it came beside what was read of it, so
// that clients can get the very same bytes: their MD5 is in the registry's list of all gems
// (versions), by which Bundler knows whether it has them. The list itself is read by
// package source, because it is large and grows at its end: see [source.Indexed].
package ruby

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/archive"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/ruby/rubygem"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
	"github.com/gatehouse-registry/gatehouse/internal/server/source"
)

// A Codec implements [source.Codec], [source.Inspector] and [source.Indexed].
type Codec struct {
	// Archives bounds the memory of gems that are being read. nil does not.
	Archives *archive.Limiter
}

// mediaTypes are those of documents. Registries that are folders of files do not know
// what is in them.
var mediaTypes = []string{"text/plain", "application/octet-stream", "binary/octet-stream"}

// Index implements [source.Indexed].
func (Codec) Index() source.IndexDocument {
	return source.IndexDocument{
		Path: "versions", Types: mediaTypes, MaxBytes: 256 << 20, // the public one has 22 MB
		Valid: func(head []byte) bool {
			return bytes.HasPrefix(head, []byte("created_at:")) || bytes.HasPrefix(head, []byte("---\n"))
		},
	}
}

// Package implements [source.Codec].
func (Codec) Package(ctx context.Context, r *source.Registry, id packages.PackageID, known string) (*packages.RemotePackage, string, error) {
	if !rubygem.ValidName(id.Name) {
		return nil, "", packages.ErrNoRemotePackage // and it could lead elsewhere in an address
	}
	var validators source.Validators
	if known != "" {
		if err := json.Unmarshal([]byte(known), &validators); err != nil {
			return nil, "", err
		}
	}
	answer, err := r.Get(ctx, "info/"+id.Name, "text/plain", mediaTypes, validators)
	if err != nil {
		return nil, "", err
	}
	defer answer.Body.Close()
	body := &source.FailingReader{R: answer.Body}
	text, err := io.ReadAll(body)
	if err != nil {
		return nil, "", source.ReadError(err, body, "it cannot be read")
	}
	p, err := read(r.Client.Base(), id.Name, string(text))
	if err != nil {
		return nil, "", err
	}
	validator, err := json.Marshal(source.ValidatorsOf(answer))
	return p, string(validator), err
}

// read makes the package of a document. A name whose gems were all yanked is a package
// without versions.
func read(base, name, text string) (*packages.RemotePackage, error) {
	lines, complete := rubygem.ParseInfo(name, text)
	if len(lines) == 0 && !complete {
		return nil, &source.BadAnswer{What: "it is not a document of the compact index"}
	}
	p := &packages.RemotePackage{}
	byVersion := map[string]int{}
	for i := range lines {
		l := &lines[i]
		if l.SHA256 == "" {
			complete = false
			continue // nothing says what the right bytes are
		}
		asset, err := assetOf(base, l)
		if err != nil {
			return nil, err
		}
		at, met := byVersion[l.Gem.Version]
		if !met {
			at = len(p.Versions)
			byVersion[l.Gem.Version] = at
			p.Versions = append(p.Versions, packages.RemoteVersion{Version: l.Gem.Version, Status: packages.Published, Published: l.Created})
		}
		v := &p.Versions[at]
		v.Assets = append(v.Assets, asset)
		if !l.Created.IsZero() && (v.Published.IsZero() || l.Created.Before(v.Published)) {
			v.Published = l.Created
		}
	}
	if complete && len(lines) > 0 {
		var err error
		if p.Attributes, err = json.Marshal(rubygem.Attributes{Info: text}); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func assetOf(base string, l *rubygem.InfoLine) (packages.RemoteAsset, error) {
	g := l.Gem
	// A date that RubyGems can read is needed where the line tells none.
	g.Date = cmp.Or(l.Created, time.Date(1980, 1, 2, 0, 0, 0, 0, time.UTC)).Format(time.DateOnly)
	metadata, err := json.Marshal(&g)
	return packages.RemoteAsset{Name: g.FileName(), URL: base + "gems/" + g.FileName(), SHA256: l.SHA256, Published: l.Created, Metadata: metadata}, err
}

// Describe implements [source.Codec]. The index says nothing about what a gem is; the gem
// does.
func (Codec) Describe(id packages.PackageID, _ json.RawMessage) *packages.Description {
	return &packages.Description{DisplayName: id.Name}
}

// Inspect implements [source.Inspector]. A gem has the hash of the index already. What its
// specification says is kept, if it can be read.
func (c Codec) Inspect(ctx context.Context, _ *source.Registry, f packages.Arrival) (packages.Contents, error) {
	g, err := c.open(ctx, f.Content)
	if bad := fault.From(err); bad != nil && bad.Kind == fault.Invalid {
		return packages.Contents{}, nil // what clients cannot read is their decision
	}
	if err != nil {
		return packages.Contents{}, err
	}
	if g.Name != f.Package.Name || g.Version != f.Version {
		return packages.Contents{}, &source.BadAnswer{What: fmt.Sprintf("it is the gem %s %s", g.Name, g.Version)}
	}
	var listed rubygem.Gem
	if err := json.Unmarshal(f.Asset.Metadata, &listed); err != nil {
		return packages.Contents{}, err
	}
	g.Platform = listed.Platform // old gems spell it differently
	metadata, err := json.Marshal(g)
	return packages.Contents{Description: g.Describe(), Metadata: metadata}, err
}

func (c Codec) open(ctx context.Context, content *packages.Staged) (*rubygem.Gem, error) {
	object, err := content.Open(ctx)
	if err != nil {
		return nil, err
	}
	defer object.Close()
	release, err := c.Archives.Acquire(ctx, 0, archive.Limits{})
	if err != nil {
		return nil, err
	}
	defer release()
	return rubygem.Read(ctx, object, content.Size)
}

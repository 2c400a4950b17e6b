// Package cargo reads cargo registries with a sparse index (The Cargo Book, "Registry
// Index"). It implements [source.Codec].
//
// A line of the index is kept as it is, also members that this program does not know.
// Only the checksum and whether the version is yanked go to the package store, which
// verifies the one and follows the other.
package cargo

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/egress"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/cargo/stored"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
	"github.com/gatehouse-registry/gatehouse/internal/server/source"
)

// A Codec implements [source.Codec]. It remembers where registries have their files.
type Codec struct{ configs configs }

// New returns a codec. now is the clock.
func New(now func() time.Time) *Codec {
	return &Codec{configs{now: now, known: map[string]config{}}}
}

// documentTypes are the media types of files of an index. Servers of plain files do not
// know the type of one without an extension.
var documentTypes = []string{"text/plain", "application/json", "application/octet-stream", "binary/octet-stream"}

// A validator is what a registry compares, and what the answer was made with.
type validator struct {
	source.Validators
	// Download is "dl" of config.json: the addresses of the files follow from it.
	Download string `json:"dl"`
}

// Package implements [source.Codec].
func (c *Codec) Package(ctx context.Context, r *source.Registry, id packages.PackageID, known string) (*packages.RemotePackage, string, error) {
	if !stored.ValidName(id.Name) {
		return nil, "", packages.ErrNoRemotePackage // and it could lead elsewhere in an address
	}
	var last validator
	if known != "" {
		if err := json.Unmarshal([]byte(known), &last); err != nil {
			return nil, "", err
		}
	}
	config, err := c.configs.of(ctx, r)
	if err != nil {
		return nil, "", err
	}
	if last.Download != config.Download {
		last.Validators = source.Validators{} // the answer is another one
	}
	answer, err := r.Get(ctx, stored.IndexPath(id.Name), "text/plain", documentTypes, last.Validators)
	if failed := (*egress.Error)(nil); errors.As(err, &failed) && failed.Kind == egress.Answered && failed.Status == http.StatusUnavailableForLegalReasons {
		return nil, "", packages.ErrNoRemotePackage // to cargo it is as 404
	}
	if err != nil {
		return nil, "", err
	}
	defer answer.Body.Close()
	body := &source.FailingReader{R: answer.Body}
	// All of it is read: before the end, the sum of a compressed answer is not checked.
	text, err := io.ReadAll(body)
	if err != nil {
		return nil, "", source.ReadError(err, body, "it cannot be read")
	}
	p, err := parseIndex(id, string(text), config)
	if err != nil {
		return nil, "", err
	}
	next, err := json.Marshal(validator{source.ValidatorsOf(answer), config.Download})
	return p, string(next), err
}

// Describe implements [source.Codec]. An index does not say what a crate is.
func (*Codec) Describe(id packages.PackageID, metadata json.RawMessage) *packages.Description {
	v, err := stored.Decode(metadata)
	if err != nil {
		return &packages.Description{DisplayName: id.Name}
	}
	return v.Describe(id)
}

// parseIndex reads the file of a crate in the index.
func parseIndex(id packages.PackageID, text string, c config) (*packages.RemotePackage, error) {
	p := &packages.RemotePackage{}
	for text := range strings.Lines(text) {
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		l, err := parseLine(text)
		if err != nil {
			// cargo skips such a line. But then it would choose an older version because an
			// answer is damaged.
			return nil, &source.BadAnswer{What: "it has a line that is not a version of a crate", Err: err}
		}
		if !strings.EqualFold(l.name, id.Name) {
			return nil, &source.BadAnswer{What: "it is the index of another crate and not of " + id.Name}
		}
		v, ok, err := l.version(c)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		p.Name = cmp.Or(p.Name, l.name)
		p.Versions = append(p.Versions, v)
	}
	if len(p.Versions) == 0 {
		return nil, packages.ErrNoRemotePackage
	}
	return p, nil
}

package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/egress"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// A Codec reads the registry protocol of one format.
type Codec interface {
	// Package asks for a package. known is the Validator of the last answer, or "". Errors:
	// [ErrNotModified] if known still holds, [packages.ErrNoRemotePackage], those of
	// [Registry.Get], and others about an answer that cannot be read.
	Package(ctx context.Context, r *Registry, id packages.PackageID, known string) (*packages.RemotePackage, string, error)
	// Describe returns what the CodeArtifact API answers about a version.
	Describe(id packages.PackageID, metadata json.RawMessage) *packages.Description
}

// A FileCodec reads the protocol of a format whose registries do not list the files of
// versions.
type FileCodec interface {
	Codec
	// File asks for a file of a version. Errors: those of Package but ErrNotModified.
	File(ctx context.Context, r *Registry, id packages.PackageID, version, name string) (*packages.RemoteAsset, error)
	// DescribeFile returns what the CodeArtifact API answers about a version, as one of
	// its files says it, or nil if it does not.
	DescribeFile(id packages.PackageID, name string, content io.Reader) *packages.Description
}

// An Inspector is a [Codec] that looks into the files that arrive: because the registry
// does not tell their hashes, or because they say more than the registry.
type Inspector interface {
	// Inspect returns what is kept of a file beside its bytes. Errors: a [*BadAnswer] if it
	// is not the file of the version, those of [Registry.Get], and others of this server.
	Inspect(ctx context.Context, r *Registry, f packages.Arrival) (packages.Contents, error)
}

// ErrNotModified means that the last answer still holds.
var ErrNotModified = errors.New("source: not modified")

// A Client makes the requests to one registry. It is an *egress.Upstream.
type Client interface {
	Do(ctx context.Context, r egress.Request) (*egress.Response, error)
	// Base is the address of the registry. It ends with a slash.
	Base() string
}

// A Registry is a registry that can be asked.
type Registry struct {
	// Connection is the name of the external connection, such as public:npmjs.
	Connection string
	Client     Client
	Codec      Codec
	// Settings are those of this registry, beside the cache's.
	Settings Override
}

// Get asks for a document. path is below the registry's address, or absolute. accept is
// the Accept header, and types are the media types that are taken. known are validators.
// Errors: ErrNotModified, packages.ErrNoRemotePackage and those of package egress.
func (r *Registry) Get(ctx context.Context, path, accept string, types []string, known Validators) (*egress.Response, error) {
	h := http.Header{}
	if accept != "" {
		h.Set("Accept", accept)
	}
	if known.ETag != "" {
		h.Set("If-None-Match", known.ETag)
	}
	if known.LastModified != "" {
		h.Set("If-Modified-Since", known.LastModified)
	}
	answer, err := r.Client.Do(ctx, egress.Request{URL: path, Header: h, MaxBytes: r.Settings.MaxDocument, Compressed: true, Types: types})
	switch {
	case egress.IsNotFound(err):
		return nil, packages.ErrNoRemotePackage
	case err != nil:
		return nil, err
	case answer.Status == http.StatusNotModified:
		_ = answer.Body.Close()
		return nil, ErrNotModified
	}
	answer.Body = reserved(ctx, answer.Body)
	return answer, nil
}

// Validators are what a registry compares to see whether a document has changed (RFC 9110,
// section 8.8).
type Validators struct {
	ETag         string `json:"etag,omitempty"`
	LastModified string `json:"lastModified,omitempty"`
	// Form is what the codec keeps of a document: see [KnownValidators].
	Form int `json:"form,omitempty"`
}

// KnownValidators reads the validators of a document that is kept. A codec that keeps more
// of a document than an earlier release did counts its form up: there are no validators for
// a document of another form, because the registry would answer that it has not changed,
// and what is missing would never be read.
func KnownValidators(known string, form int) (Validators, error) {
	var v Validators
	if known == "" {
		return v, nil
	}
	if err := json.Unmarshal([]byte(known), &v); err != nil {
		return Validators{}, err
	}
	if v.Form != form {
		return Validators{}, nil
	}
	return v, nil
}

// ValidatorsOf returns the validators of an answer.
func ValidatorsOf(r *egress.Response) Validators {
	return Validators{ETag: r.Header.Get("ETag"), LastModified: r.Header.Get("Last-Modified")}
}

// ParseTime reads a time of RFC 3339. It is zero if the text is not one, or if the time is
// outside of the years that JSON can hold: then the registry does not tell the time.
func ParseTime(text string) time.Time {
	t, err := time.Parse(time.RFC3339, text)
	if t = t.UTC(); err != nil || t.Year() < 1 || t.Year() > 9999 {
		return time.Time{}
	}
	return t
}

// A BadAnswer is an answer of a registry that cannot be read.
type BadAnswer struct {
	What string // what is wrong with it
	Err  error  // the cause, or nil
}

func (e *BadAnswer) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("%s: %v", e.What, e.Err)
	}
	return e.What
}

// Unwrap returns the cause.
func (e *BadAnswer) Unwrap() error { return e.Err }

// ReadError tells a failure of receiving an answer from an answer that is wrong: err is
// what a decoder returned that read from body.
func ReadError(err error, body *FailingReader, what string) error {
	if body.Err != nil {
		return body.Err
	}
	return &BadAnswer{what, err}
}

// A FailingReader remembers the error of the reader below it, so that it can be told from
// a decoder's.
type FailingReader struct {
	R   io.Reader
	Err error
}

func (f *FailingReader) Read(p []byte) (int, error) {
	n, err := f.R.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		f.Err = err
	}
	return n, err
}

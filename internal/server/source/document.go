package source

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"

	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// maxSmallDocument bounds documents that are not about packages, in bytes.
const maxSmallDocument = 8 << 20

// A DocumentCodec is a [Codec] of a format whose registries have further documents.
type DocumentCodec interface {
	Codec
	// Document says where a document is. Errors: [packages.ErrNoRemotePackage] if
	// registries of the format have none of the kind, and those of [Registry.Get].
	Document(ctx context.Context, r *Registry, d packages.DocumentRequest) (*DocumentPlace, error)
}

// A DocumentPlace says where a document is and what it must be.
type DocumentPlace struct {
	// Path is below the registry's address, or absolute.
	Path string
	// Accept is the header; Types are the media types that are taken, none means any.
	Accept string
	Types  []string
	// Read returns what is kept of the document, or a [*BadAnswer] if it is not what was
	// asked for.
	Read func(body []byte) ([]byte, error)
}

// JSONPlace is the place of a document in JSON that has a member which is a list.
func JSONPlace(path, list string) *DocumentPlace {
	const mediaType = "application/json"
	return &DocumentPlace{Path: path, Accept: mediaType, Types: []string{mediaType}, Read: func(body []byte) ([]byte, error) {
		var d map[string]json.RawMessage
		var members []json.RawMessage
		if json.Unmarshal(body, &d) != nil || json.Unmarshal(d[list], &members) != nil || members == nil {
			return nil, &BadAnswer{What: "it is not an object with a list of " + list}
		}
		return body, nil
	}}
}

// Document implements [packages.Remote].
func (c *Cache) Document(ctx context.Context, connection string, d packages.DocumentRequest) ([]byte, packages.RemoteState, error) {
	p, state, err := c.lookUp(ctx, key{registry: connection, request: d})
	if err != nil {
		return nil, state, err
	}
	var body []byte
	err = json.Unmarshal(p.Attributes, &body)
	return body, state, err
}

// readDocument asks for a document. It is kept as the attributes of a package, since the
// cache keeps packages.
func readDocument(ctx context.Context, r *Registry, d packages.DocumentRequest, known string) (*packages.RemotePackage, string, error) {
	codec, ok := r.Codec.(DocumentCodec)
	if !ok {
		return nil, "", packages.ErrNoRemotePackage
	}
	small := *r
	small.Settings.MaxDocument = min(small.Settings.MaxDocument, maxSmallDocument)
	place, err := codec.Document(ctx, &small, d)
	if err != nil {
		return nil, "", err
	}
	var validators Validators
	if known != "" {
		if err := json.Unmarshal([]byte(known), &validators); err != nil {
			return nil, "", err
		}
	}
	answer, err := small.Get(ctx, place.Path, place.Accept, place.Types, validators)
	if err != nil {
		return nil, "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, "", err
	}
	if sum := sha256.Sum256(body); d.SHA256 != "" && d.SHA256 != hex.EncodeToString(sum[:]) {
		return nil, "", &BadAnswer{What: "its SHA-256 is not the one that the registry tells"}
	}
	if body, err = place.Read(body); err != nil {
		return nil, "", err
	}
	text, err := json.Marshal(body)
	if err != nil {
		return nil, "", err
	}
	validator, err := json.Marshal(ValidatorsOf(answer))
	return &packages.RemotePackage{Attributes: text}, string(validator), err
}

package s3

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/go-json-experiment/json"

	"github.com/gatehouse-registry/gatehouse/internal/server/blob"
)

// maxInline is how many bytes a state may have itself. Most configurations of images
// are smaller; with base64 they are far below [blob.MaxState].
const maxInline = 32 << 10

// A state is the content of a [blob.State].
type state struct {
	// Name is the name of the object, so that the state of one upload is not taken for
	// that of another.
	Name string `json:"name"`
	// Upload identifies the multipart upload in the object's metadata.
	Upload string `json:"upload"`
	// Multipart is the id of the multipart upload; empty if there is none yet.
	Multipart string `json:"multipart,omitzero"`
	// Parts is how many parts it has, numbered from 1, and Digest is [digestParts] of
	// them.
	Parts  int    `json:"parts,omitzero"`
	Digest string `json:"digest,omitzero"`
	// Size and CRC are those of all bytes.
	Size int64  `json:"size"`
	CRC  uint32 `json:"crc"`
	// The bytes after the parts are in Inline or in the object Tail.
	Inline []byte `json:"inline,omitzero"`
	Tail   *tail  `json:"tail,omitzero"`
	// Last is the tail of the state before, which may be deleted once this state is
	// used.
	Last string `json:"last,omitzero"`
}

// A tail describes a tail object. Each has a key of its own: what one server has
// acknowledged is not overwritten by another.
type tail struct {
	Unique string `json:"unique"` // the end of its key
	Size   int    `json:"size"`
	CRC    uint32 `json:"crc"`
}

func (s *state) tailSize() int {
	if s.Tail != nil {
		return s.Tail.Size
	}
	return len(s.Inline)
}

func formatState(s *state) (blob.State, error) { return json.Marshal(s) }

// parseState is the inverse of formatState. It refuses a state of another object, and
// one that cannot be.
func parseState(name string, b blob.State) (*state, error) {
	s := new(state)
	if err := json.Unmarshal(b, s, json.RejectUnknownMembers(true)); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", blob.ErrState, name, err)
	}
	valid := s.Name == name && s.Upload != "" && s.Parts >= 0 && s.Parts <= maxParts && (s.Parts > 0) == (s.Multipart != "") &&
		s.tailSize() <= partSize && s.Size == int64(s.Parts)*partSize+int64(s.tailSize())
	if !valid {
		return nil, fmt.Errorf("%w: %s", blob.ErrState, name)
	}
	return s, nil
}

// digestParts identifies the content of parts.
func digestParts(parts []types.CompletedPart) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d %s\n", *p.PartNumber, *p.ETag)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// load checks that the store has what a state says and prepares the writer to go on.
func (w *writer) load(ctx context.Context, st *state) (err error) {
	switch {
	case st.Multipart != "":
		w.parts, err = w.store.listParts(ctx, st)
	case st.Tail == nil:
		err = w.store.checkUncommitted(ctx, st.Name)
	}
	if err != nil {
		return err
	}
	w.buf.write(st.Inline)
	if st.Tail != nil {
		if err := w.loadTail(ctx, st.Tail); err != nil {
			return err
		}
	}
	w.size, w.crc = st.Size, st.CRC
	if st.Multipart != "" {
		w.multipart, w.id = st.Multipart, st.Upload
	}
	if st.Last != "" { // this state was recorded, so the one before is not needed
		w.store.dropTail(ctx, st.Name, st.Last)
	}
	return nil
}

// checkUncommitted returns ErrState if there is a committed object. An upload that has
// only a state cannot tell otherwise that it has ended.
func (s *Store) checkUncommitted(ctx context.Context, name string) error {
	_, err := s.head(ctx, s.key(objectsDir, name))
	switch {
	case err == nil:
		return fmt.Errorf("%w: %s is committed", blob.ErrState, name)
	case errors.Is(err, blob.ErrNotFound):
		return nil
	}
	return err
}

// listParts returns the parts of a state. Parts beyond them are left alone: they were
// never acknowledged, and completing the upload drops them.
func (s *Store) listParts(ctx context.Context, st *state) ([]types.CompletedPart, error) {
	var parts []types.CompletedPart
	in := &awss3.ListPartsInput{Bucket: &s.config.Bucket, Key: s.key(objectsDir, st.Name), UploadId: &st.Multipart}
	for len(parts) < st.Parts {
		out, err := s.client.ListParts(ctx, in)
		if isMissing(err) {
			return nil, fmt.Errorf("%w: %s has no such multipart upload", blob.ErrState, st.Name)
		}
		if err != nil {
			return nil, s.explain(err)
		}
		for _, p := range out.Parts {
			if p.PartNumber == nil || p.ETag == nil || p.Size == nil || *p.PartNumber != int32(len(parts)+1) || *p.Size != partSize {
				break // a part of another server
			}
			parts = append(parts, types.CompletedPart{PartNumber: p.PartNumber, ETag: p.ETag, ChecksumCRC32C: p.ChecksumCRC32C})
			if len(parts) == st.Parts {
				break
			}
		}
		if out.IsTruncated == nil || !*out.IsTruncated || out.NextPartNumberMarker == nil {
			break
		}
		in.PartNumberMarker = out.NextPartNumberMarker
	}
	if len(parts) != st.Parts || digestParts(parts) != st.Digest {
		return nil, fmt.Errorf("%w: the parts of %s are not those of the state", blob.ErrState, st.Name)
	}
	return slices.Clip(parts), nil
}

// saveTail stores the bytes in the writer's buffer and describes them in the state.
func (w *writer) saveTail(ctx context.Context, st *state) error {
	if w.buf.size <= maxInline {
		st.Inline = w.buf.bytes()
		return nil
	}
	t := &tail{Unique: newID(), Size: w.buf.size, CRC: w.buf.crc()}
	_, err := w.store.client.PutObject(ctx, &awss3.PutObjectInput{
		Bucket: &w.store.config.Bucket, Key: w.store.tailKey(w.name, t.Unique), Body: w.buf.reader(), ContentLength: ptr(int64(t.Size)),
		ContentType: ptr(contentType), ChecksumCRC32C: formatCRC(t.CRC),
	})
	st.Tail = t
	return w.store.explain(err)
}

func (w *writer) loadTail(ctx context.Context, t *tail) error {
	out, err := w.store.client.GetObject(ctx, &awss3.GetObjectInput{Bucket: &w.store.config.Bucket, Key: w.store.tailKey(w.name, t.Unique)})
	if isMissing(err) {
		return fmt.Errorf("%w: the last bytes of %s are missing", blob.ErrState, w.name)
	}
	if err != nil {
		return w.store.explain(err)
	}
	defer out.Body.Close()
	crc, p := uint32(0), make([]byte, 64<<10)
	for left := t.Size; ; {
		n, err := out.Body.Read(p)
		if left -= n; left < 0 {
			return fmt.Errorf("%w: the last bytes of %s have another size", blob.ErrState, w.name)
		}
		crc = crc32.Update(crc, castagnoli, p[:n])
		w.buf.write(p[:n])
		switch {
		case err == io.EOF && left == 0 && crc == t.CRC:
			return nil
		case err == io.EOF:
			return fmt.Errorf("%w: the last bytes of %s are damaged", blob.ErrState, w.name)
		case err != nil:
			return w.store.explain(err)
		}
	}
}

func (s *Store) tailKey(name, unique string) *string { return s.key(tailsDir, name, separator, unique) }

// dropTail deletes a tail object. If this fails, Purge does it.
func (s *Store) dropTail(ctx context.Context, name, unique string) {
	_ = s.deleteKey(ctx, s.tailKey(name, unique))
}

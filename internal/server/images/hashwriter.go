package images

import (
	"context"
	"encoding"
	"fmt"
	"hash"
	"io"
	"sync"

	"github.com/opencontainers/go-digest"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob"
)

// MaxBlob is how many bytes a blob may have: 52,000 MiB (Amazon ECR User Guide,
// "Service quotas", maximum layer size).
const MaxBlob = 52_000 << 20

// A hashingWriter writes the bytes of one blob to its object and hashes them. It
// has one hash: of the algorithm that the client announced, or else sha256, which
// nearly all digests use. Hashing with both would halve the speed of every push.
// If the digest turns out to be of the other algorithm, the object is read once
// more: see [Service.digest].
type hashingWriter struct {
	blob.Writer
	object    string
	algorithm digest.Algorithm
	hash      hash.Hash
}

// hashState returns the state of the hash.
func (w *hashingWriter) hashState() ([]byte, error) {
	return w.hash.(encoding.BinaryMarshaler).MarshalBinary()
}

// restoreHash sets the state of the hash.
func (w *hashingWriter) restoreHash(state []byte) error {
	return w.hash.(encoding.BinaryUnmarshaler).UnmarshalBinary(state)
}

// receiveBuffer is the number of bytes that are read before they are written. Two
// buffers take turns: one is hashed while the other is read and written.
const receiveBuffer = 512 << 10

var receiveBuffers = sync.Pool{New: func() any { return new([2][receiveBuffer]byte) }}

// A bodyError means that reading the request's body failed.
type bodyError struct{ error }

func (e bodyError) Unwrap() error { return e.error }

// receive copies body into the writer. If body fails, the error is a [bodyError]
// and the writer has everything that came before.
func (w *hashingWriter) receive(body io.Reader) error {
	buffers := receiveBuffers.Get().(*[2][receiveBuffer]byte)
	defer receiveBuffers.Put(buffers)
	var hashing sync.WaitGroup
	defer hashing.Wait()
	for turn := 0; ; turn ^= 1 {
		n, readErr := readFull(body, buffers[turn][:])
		p := buffers[turn][:n]
		if w.Size()+int64(n) > MaxBlob {
			return bodyError{fault.New(fault.TooLarge, "LayerTooLarge", "A layer has at most %d bytes.", int64(MaxBlob))}
		}
		hashing.Wait() // for the other buffer, which the next round fills
		if n < receiveBuffer {
			w.hash.Write(p)
		} else {
			hashing.Go(func() { w.hash.Write(p) })
		}
		if n > 0 {
			if _, err := w.Write(p); err != nil {
				return fmt.Errorf("write blob: %w", err)
			}
		}
		if readErr == io.EOF {
			return nil
		}
		if readErr != nil {
			return bodyError{readErr}
		}
	}
}

// readFull reads until p is full or r fails. Unlike io.ReadFull it returns r's own
// error, which tells the end of a body from an interruption.
func readFull(r io.Reader, p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var m int
		m, err = r.Read(p[n:])
		n += m
	}
	return n, err
}

// newHashingWriter creates an object.
func (s *Service) newHashingWriter(ctx context.Context, object string, algorithm digest.Algorithm) (*hashingWriter, error) {
	w, err := s.blobs.Create(ctx, object)
	if err != nil {
		return nil, err
	}
	return &hashingWriter{w, object, algorithm, algorithm.Hash()}, nil
}

// digest computes the digest of a committed object by reading it.
func (s *Service) digest(ctx context.Context, object string, algorithm digest.Algorithm) (digest.Digest, error) {
	o, err := s.blobs.Open(ctx, object)
	if err != nil {
		return "", err
	}
	defer o.Close()
	return algorithm.FromReader(o)
}

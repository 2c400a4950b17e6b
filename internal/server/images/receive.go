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

// A sink takes the bytes of one blob: they go to its object and are hashed on
// the way. There is one hash, of the algorithm that the client announced or
// else sha256, which nearly all digests use: hashing twice would halve the speed
// of every push. A digest of the other algorithm that comes as a surprise at the
// end is computed by reading the object once, see [Service.digest].
type sink struct {
	blob.Writer
	object    string
	algorithm digest.Algorithm
	hash      hash.Hash
}

// saved returns the state of the hash.
func (k *sink) saved() ([]byte, error) {
	return k.hash.(encoding.BinaryMarshaler).MarshalBinary()
}

// restore sets the state of the hash.
func (k *sink) restore(state []byte) error {
	return k.hash.(encoding.BinaryUnmarshaler).UnmarshalBinary(state)
}

// receiveBuffer is how much is read before it is written. Two of them are in
// turn, so that hashing one goes on while the next is read and written.
const receiveBuffer = 512 << 10

var receiveBuffers = sync.Pool{New: func() any { return new([2][receiveBuffer]byte) }}

// A bodyError says that the client's side of a transfer failed.
type bodyError struct{ error }

func (e bodyError) Unwrap() error { return e.error }

// receive copies body into the sink. The error is a [bodyError] where body
// failed, and then everything that came before is in the sink.
func (k *sink) receive(body io.Reader) error {
	buffers := receiveBuffers.Get().(*[2][receiveBuffer]byte)
	defer receiveBuffers.Put(buffers)
	var hashing sync.WaitGroup
	defer hashing.Wait()
	for turn := 0; ; turn ^= 1 {
		n, readErr := fill(body, buffers[turn][:])
		p := buffers[turn][:n]
		if k.Size()+int64(n) > MaxBlob {
			return bodyError{fault.New(fault.TooLarge, "LayerTooLarge", "A layer has at most %d bytes.", int64(MaxBlob))}
		}
		hashing.Wait() // the other buffer's, which the next round fills
		if n < receiveBuffer {
			k.hash.Write(p)
		} else {
			hashing.Go(func() { k.hash.Write(p) })
		}
		if n > 0 {
			if _, err := k.Write(p); err != nil {
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

// fill reads until p is full or r fails. Unlike io.ReadFull it returns the error
// as it is, so that an end can be told from an interruption.
func fill(r io.Reader, p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var m int
		m, err = r.Read(p[n:])
		n += m
	}
	return n, err
}

// newSink begins an object.
func (s *Service) newSink(ctx context.Context, object string, algorithm digest.Algorithm) (*sink, error) {
	w, err := s.blobs.Create(ctx, object)
	if err != nil {
		return nil, err
	}
	return &sink{w, object, algorithm, algorithm.Hash()}, nil
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

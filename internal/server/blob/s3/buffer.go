package s3

import (
	"errors"
	"io"
	"sync"
)

// chunkSize is the step in which a buffer grows: a slow upload of a few bytes does not
// take the memory of a whole part.
const chunkSize = 256 << 10

var chunks = sync.Pool{New: func() any { return new([chunkSize]byte) }}

// A buffer has up to one part of an upload.
type buffer struct {
	chunks []*[chunkSize]byte
	size   int
}

// room is how many bytes fit in.
func (b *buffer) room() int { return partSize - b.size }

// write appends p, for which there must be room.
func (b *buffer) write(p []byte) {
	for len(p) > 0 {
		at := b.size % chunkSize
		if at == 0 {
			b.chunks = append(b.chunks, chunks.Get().(*[chunkSize]byte))
		}
		n := copy(b.chunks[len(b.chunks)-1][at:], p)
		b.size += n
		p = p[n:]
	}
}

// bytes returns a copy of the bytes.
func (b *buffer) bytes() []byte {
	p := make([]byte, b.size)
	_, _ = io.ReadFull(b.reader(), p) // reads memory
	return p
}

// release gives the memory back. The buffer is empty then. Nothing may read it any
// more.
func (b *buffer) release() {
	for _, c := range b.chunks {
		chunks.Put(c)
	}
	*b = buffer{}
}

func (b *buffer) reader() *bufferReader { return &bufferReader{buffer: b} }

// A bufferReader reads a buffer. It seeks because a request may be repeated.
type bufferReader struct {
	*buffer
	at int
}

func (r *bufferReader) Read(p []byte) (n int, err error) {
	if r.at >= r.size {
		return 0, io.EOF
	}
	chunk := r.chunks[r.at/chunkSize][r.at%chunkSize : min(chunkSize, r.size-r.at/chunkSize*chunkSize)]
	n = copy(p, chunk)
	r.at += n
	return n, nil
}

func (r *bufferReader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += int64(r.at)
	case io.SeekEnd:
		offset += int64(r.size)
	}
	if offset < 0 || offset > partSize {
		return 0, errors.New("s3: an offset outside of the buffer")
	}
	r.at = int(offset)
	return offset, nil
}

// Package deflatetest compresses what tests hand to readers of archives: data of hundreds of
// megabytes that repeats itself. With the race detector, compressing it takes many times as
// long as all that is tested with it.
package deflatetest

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"hash/crc32"
	"io"
)

// chunk is how much is compressed at once, without regard to what came before.
const chunk = 1 << 20

// A Writer writes the format of package flate. A chunk that equals the one before is not
// compressed again.
type Writer struct {
	to      io.Writer
	pending []byte // less than a chunk
	last    []byte // the last chunk
	packed  bytes.Buffer
	flate   *flate.Writer
}

// NewWriter returns a Writer. Call Close at the end. archive/zip takes it as a
// [zip.Compressor].
func NewWriter(to io.Writer) (io.WriteCloser, error) { return newWriter(to), nil }

func newWriter(to io.Writer) *Writer {
	z, err := flate.NewWriter(nil, flate.BestSpeed)
	if err != nil { // there is no such level
		panic(err)
	}
	return &Writer{to: to, flate: z}
}

// Write implements [io.Writer].
func (w *Writer) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		if len(w.pending) == 0 && len(p) >= chunk { // without a copy
			if err := w.write(p[:chunk]); err != nil {
				return 0, err
			}
			p = p[chunk:]
			continue
		}
		taken := min(len(p), chunk-len(w.pending))
		w.pending, p = append(w.pending, p[:taken]...), p[taken:]
		if len(w.pending) == chunk {
			if err := w.write(w.pending); err != nil {
				return 0, err
			}
			w.pending = w.pending[:0]
		}
	}
	return n, nil
}

// write writes a chunk. It begins with nothing to refer to and ends on a byte, so it can
// follow any other one, also itself.
func (w *Writer) write(p []byte) error {
	if !bytes.Equal(p, w.last) || w.packed.Len() == 0 {
		w.last = append(w.last[:0], p...)
		w.packed.Reset()
		w.flate.Reset(&w.packed)
		if _, err := w.flate.Write(p); err != nil {
			return err
		}
		if err := w.flate.Flush(); err != nil {
			return err
		}
	}
	_, err := w.to.Write(w.packed.Bytes())
	return err
}

// Close writes the end. It does not close what is written to.
func (w *Writer) Close() error {
	if len(w.pending) > 0 {
		if err := w.write(w.pending); err != nil {
			return err
		}
	}
	w.flate.Reset(w.to)
	return w.flate.Close()
}

// A Gzip writes the format of package gzip.
type Gzip struct {
	to      io.Writer
	deflate *Writer
	begun   bool
	sum     uint32
	size    uint32
}

// NewGzip returns a Gzip. Call Close at the end.
func NewGzip(to io.Writer) *Gzip { return &Gzip{to: to, deflate: newWriter(to)} }

// Write implements [io.Writer].
func (g *Gzip) Write(p []byte) (int, error) {
	if err := g.begin(); err != nil {
		return 0, err
	}
	g.sum = crc32.Update(g.sum, crc32.IEEETable, p)
	g.size += uint32(len(p))
	return g.deflate.Write(p)
}

// begin writes the header: no name, no time, an unknown system.
func (g *Gzip) begin() error {
	if g.begun {
		return nil
	}
	g.begun = true
	_, err := g.to.Write([]byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff})
	return err
}

// Close writes the end. It does not close what is written to.
func (g *Gzip) Close() error {
	if err := g.begin(); err != nil {
		return err
	}
	if err := g.deflate.Close(); err != nil {
		return err
	}
	_, err := g.to.Write(binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, g.sum), g.size))
	return err
}

package advisories

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/diskspace"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/archive"
)

// The bounds of what a source answers.
const (
	// MaxSource is the size of the largest answer, in bytes. The zip of the largest
	// ecosystem of OSV has about a fifth of it.
	MaxSource = 1 << 30
	// maxDirectory bounds the directory of a zip, which is in memory while it is read.
	maxDirectory   = 32 << 20
	maxUnpacked    = 8 << 30
	maxReadingTime = time.Hour
	// A batch of documents is stored in one transaction.
	batchDocuments = 500
	batchBytes     = 4 << 20
)

// spool writes an answer to a temporary file, which has no name when this returns.
func spool(dir string, r io.Reader) (*os.File, int64, error) {
	f, err := os.CreateTemp(dir, "advisories-")
	if err != nil {
		return nil, 0, spoolError(err)
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	n, err := io.Copy(struct{ io.Writer }{f}, r)
	if err != nil {
		return nil, 0, errors.Join(spoolError(err), f.Close())
	}
	return f, n, nil
}

func spoolError(err error) error {
	if diskspace.IsFull(err) {
		return fmt.Errorf("the disk for temporary files is full: %w", err)
	}
	return err
}

// eachDocument calls add with each document of a file that a source has: a zip with one
// document a file, or JSON with one document, several ones after another, or a list. A
// document that is too large or cannot be read is refused, and the others are read. The
// text that add gets is its own.
func eachDocument(ctx context.Context, f *os.File, size int64, add func(text []byte) error, refuse func(reason string)) error {
	head := make([]byte, 512)
	n, err := f.ReadAt(head, 0)
	if err != nil && err != io.EOF {
		return err
	}
	head = bytes.TrimLeft(head[:n], " \t\r\n\ufeff")
	switch {
	case bytes.HasPrefix(head, []byte("PK")):
		return eachInZip(ctx, f, size, add, refuse)
	case bytes.HasPrefix(head, []byte("{")), bytes.HasPrefix(head, []byte("[")):
		return eachInJSON(io.NewSectionReader(f, 0, size), add)
	case len(head) == 0:
		return errors.New("it is empty")
	}
	return errors.New("it is neither a zip nor JSON. A web page, for example of a login, answers like this")
}

func eachInZip(ctx context.Context, f *os.File, size int64, add func([]byte) error, refuse func(string)) error {
	budget := archive.NewBudget(ctx, archive.Limits{Entries: MaxAdvisories, Directory: maxDirectory, Unpacked: maxUnpacked, Archives: 1, Time: maxReadingTime})
	z, err := budget.Zip(f, size)
	if err != nil {
		return fmt.Errorf("the zip cannot be read: %w", err)
	}
	for _, entry := range z.Files() {
		if !strings.HasSuffix(entry.Name, ".json") {
			continue
		}
		if entry.Size > MaxDocument {
			refuse(fmt.Sprintf("%s has %d bytes, and at most %d are accepted", entry.Name, entry.Size, MaxDocument))
			continue
		}
		text, err := entry.Content(MaxDocument)
		if err != nil {
			return fmt.Errorf("%s in the zip cannot be read: %w", entry.Name, err)
		}
		if err := add(text); err != nil {
			return err
		}
	}
	return nil
}

// errLargeDocument ends the reading of JSON: what follows cannot be found without reading
// the document.
var errLargeDocument = fmt.Errorf("a document in it has more than %d bytes", MaxDocument)

func eachInJSON(r io.Reader, add func([]byte) error) error {
	bounded := &boundedValues{r: bufio.NewReaderSize(r, 64<<10)}
	d := json.NewDecoder(bounded)
	bounded.decoder = d
	failed := func(err error) error {
		if errors.Is(err, errLargeDocument) {
			return err
		}
		return fmt.Errorf("the JSON cannot be read: %w", err)
	}
	list := false
	if first, err := bounded.first(); err == nil && first == '[' {
		list = true
		if _, err := d.Token(); err != nil {
			return failed(err)
		}
	}
	for d.More() {
		var text json.RawMessage
		if err := d.Decode(&text); err != nil {
			return failed(err)
		}
		if err := add(text); err != nil {
			return err
		}
	}
	// More is false at the end of the list, at the end of the file, and after an error.
	if _, err := d.Token(); err != nil && (list || err != io.EOF) {
		return failed(err)
	}
	return nil
}

// boundedValues fails if the decoder that reads from it needs more than MaxDocument for one
// value.
type boundedValues struct {
	r       *bufio.Reader
	decoder *json.Decoder
	read    int64
}

// first returns the first character that is no space.
func (b *boundedValues) first() (byte, error) {
	for {
		c, err := b.r.ReadByte()
		if err != nil {
			return 0, err
		}
		if !strings.ContainsRune(" \t\r\n", rune(c)) {
			return c, b.r.UnreadByte()
		}
	}
}

func (b *boundedValues) Read(p []byte) (int, error) {
	left := b.decoder.InputOffset() + MaxDocument + 1 - b.read
	if left <= 0 {
		return 0, errLargeDocument
	}
	n, err := b.r.Read(p[:min(int64(len(p)), left)])
	b.read += int64(n)
	return n, err
}

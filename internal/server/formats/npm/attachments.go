package npm

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"io"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
)

// An attachmentReader reads a publish document and passes it on with an empty
// string in the place of each attachment's data, _attachments.*.data. extract gets
// the decoded data as a stream. So a tarball is never in memory, whatever the order
// of the document's members. A provenance statement is small and stays in the document.
//
// It follows only the strings and brackets of JSON. Whether the document is valid is
// decided by the decoder of what is passed on.
type attachmentReader struct {
	src *bufio.Reader
	// extract is called once for each attachment, with its file name.
	extract func(name string, content io.Reader) error
	// left is how many more bytes of the document, without attachments, may be
	// passed on.
	left int64

	depth    int            // open brackets
	object   [maxDepth]bool // whether the bracket of that depth is a brace
	key      [maxDepth]string
	value    bool   // after a colon: a member's value follows
	inString bool   // inside a string that is passed on
	escaped  bool   // after a backslash
	text     []byte // that string so far, up to maxKey bytes
	pending  string // to be passed on before more is read
	err      error  // the error that ended reading, io.EOF included
}

// maxDepth is one more than the depth of an attachment's data.
const maxDepth = 4

// maxKey bounds the member names that are kept, in bytes. The name of a tarball is
// shorter.
const maxKey = 1024

func newAttachmentReader(r io.Reader, limit int64, extract func(string, io.Reader) error) *attachmentReader {
	return &attachmentReader{src: bufio.NewReaderSize(r, 64<<10), extract: extract, left: limit}
}

// Read returns the error that ended the document at every further call: a decoder
// may look at the last bytes first and then ask for more.
func (a *attachmentReader) Read(p []byte) (n int, err error) {
	n = copy(p, a.pending)
	a.pending = a.pending[n:]
	for n < len(p) && a.pending == "" && a.err == nil {
		var c byte
		if c, a.err = a.src.ReadByte(); a.err != nil {
			break
		}
		if a.left--; a.left < 0 {
			a.err = errDocumentTooLarge
			break
		}
		p[n] = c
		n++
		a.err = a.follow(c)
	}
	if n > 0 {
		return n, nil
	}
	return 0, a.err
}

var errDocumentTooLarge = fault.New(fault.TooLarge, "DocumentTooLarge", "The document without its tarball is larger than %d MiB.", maxDocument>>20)

// follow updates the state for one byte that is passed on.
func (a *attachmentReader) follow(c byte) error {
	if a.inString {
		a.followString(c)
		return nil
	}
	switch c {
	case '"':
		if a.atAttachment() {
			a.pending, a.value = `"`, false
			return a.extractOne()
		}
		a.inString, a.text = true, a.text[:0]
	case ':':
		a.value = true
	case ',':
		a.value = false
	case '{', '[':
		a.depth++
		a.value = false
		if a.depth < maxDepth {
			a.object[a.depth], a.key[a.depth] = c == '{', ""
		}
	case '}', ']':
		a.depth = max(a.depth-1, 0)
		a.value = false
	}
	return nil
}

func (a *attachmentReader) followString(c byte) {
	switch {
	case a.escaped:
		a.escaped = false
	case c == '\\':
		a.escaped = true
	case c == '"':
		a.inString = false
		if !a.value && a.depth > 0 && a.depth < maxDepth && a.object[a.depth] {
			a.key[a.depth] = string(a.text)
		}
		return
	}
	if len(a.text) < maxKey {
		a.text = append(a.text, c)
	}
}

// atAttachment reports whether the string that begins here is the data of an
// attachment.
func (a *attachmentReader) atAttachment() bool {
	return a.value && a.depth == 3 && a.object[1] && a.object[2] && a.object[3] &&
		a.key[1] == "_attachments" && a.key[3] == "data" && !isProvenance(a.key[2])
}

func (a *attachmentReader) extractOne() error {
	raw := &stringReader{src: a.src}
	err := a.extract(a.key[2], base64.NewDecoder(base64.StdEncoding, raw))
	corrupt := base64.CorruptInputError(0)
	if errors.As(err, &corrupt) || errors.Is(err, errEscape) || raw.done && errors.Is(err, io.ErrUnexpectedEOF) {
		return fault.New(fault.Invalid, "InvalidDocument", "The data of the attachment %q is not base64.", a.key[2])
	}
	if err != nil {
		return err
	}
	if !raw.done {
		if _, err := raw.Read(make([]byte, 1)); err != io.EOF {
			return fault.New(fault.Invalid, "InvalidDocument", "The data of the attachment %q continues after the end of its base64.", a.key[2])
		}
	}
	return nil
}

// A stringReader reads the characters of a JSON string, including the closing quote.
// The only escape that it knows is "\/": base64 needs no other.
type stringReader struct {
	src  *bufio.Reader
	done bool
}

var errEscape = errors.New("an escape that base64 does not need")

func (s *stringReader) Read(p []byte) (int, error) {
	if s.done {
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	if _, err := s.src.Peek(1); err != nil {
		return 0, unexpected(err)
	}
	b, _ := s.src.Peek(min(s.src.Buffered(), len(p)))
	if i := bytes.IndexByte(b, '"'); i >= 0 {
		b = b[:i]
	}
	if i := bytes.IndexByte(b, '\\'); i >= 0 {
		b = b[:i]
	}
	if len(b) > 0 {
		n := copy(p, b)
		_, err := s.src.Discard(n)
		return n, err
	}
	return s.special(p)
}

// special reads the closing quote or an escape.
func (s *stringReader) special(p []byte) (int, error) {
	c, err := s.src.ReadByte()
	if err != nil {
		return 0, unexpected(err)
	}
	if c == '"' {
		s.done = true
		return 0, io.EOF
	}
	if c, err = s.src.ReadByte(); err != nil {
		return 0, unexpected(err)
	}
	if c != '/' {
		return 0, errEscape
	}
	p[0] = c
	return 1, nil
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

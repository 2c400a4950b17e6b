package source

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/atomicfile"
	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/egress"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// Lists of everything that a registry has.
//
// Such a list has tens of megabytes and changes every minute, mostly at its end. It is in a
// file of this server. What is new is appended, and the whole is compared with the hash
// that the registry tells. Beside it is a file that says how much of it counts, so that an
// interrupted change is as if it had not begun. Readers read what counted when they opened
// it. Each server has files of its own: they can be lost.

// Indexed is a [Codec] of a format whose registries have a list of all their packages.
type Indexed interface{ Index() IndexDocument }

// An IndexDocument says what such a list is.
type IndexDocument struct {
	// Path is below the registry's address.
	Path  string
	Types []string // media types
	// MaxBytes bounds its size.
	MaxBytes int64
	// Valid reports whether a document can begin with some bytes, at most 512.
	Valid func(head []byte) bool
}

// indexTimeout bounds one question for a list.
const indexTimeout = 10 * time.Minute

// An index is the list of one registry. Its files are changed by one question at a time.
type index struct {
	registry *Registry
	document IndexDocument
	path     string
	now      func() time.Time

	mu     sync.Mutex
	loaded bool
	state  *indexState // nil: there is no list
	failed failure
}

// An indexState says what counts of the file.
type indexState struct {
	Size    int64     `json:"size"`
	SHA256  string    `json:"sha256"`
	ETag    string    `json:"etag,omitempty"`
	Checked time.Time `json:"checked"`
	// Grows means that the registry tells a hash of the whole, so that an addition can be
	// checked.
	Grows bool `json:"grows,omitempty"`
}

func (c *Cache) openIndexes(dir string) error {
	if dir == "" {
		return nil
	}
	for _, r := range c.registries {
		codec, ok := r.Codec.(Indexed)
		if !ok {
			continue
		}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("source: %w", err)
		}
		c.indexes[r.Connection] = &index{registry: r, document: codec.Index(), path: filepath.Join(dir, url.PathEscape(r.Connection)), now: c.now}
	}
	return nil
}

// Index implements [packages.Remote].
func (c *Cache) Index(ctx context.Context, connection string) (*packages.RemoteIndex, packages.RemoteState, error) {
	x := c.indexes[connection]
	if x == nil {
		return nil, packages.RemoteState{}, nil
	}
	s, failed, err := x.current()
	if err != nil {
		return nil, packages.RemoteState{}, err
	}
	ask := func() (any, error) { return c.refreshIndex(x) }
	usable := s != nil && c.age(s.Checked) < c.of(connection).MaxStale
	switch {
	case s != nil && c.age(s.Checked) < c.settings.IndexFresh:
		return x.answer(s, nil)
	case failed.err != nil && c.age(failed.at) < c.of(connection).Retry:
		return x.answerStale(s, usable, failed.err)
	case s != nil && c.age(s.Checked) < c.settings.IndexFresh+c.of(connection).Background:
		c.inBackground(func() { <-c.flight("index "+connection, ask) })
		return x.answer(s, nil)
	}
	var impatient <-chan time.Time
	if usable {
		t := time.NewTimer(c.of(connection).Patience)
		defer t.Stop()
		impatient = t.C
	}
	select {
	case r := <-c.flight("index "+connection, ask):
		if r.Err != nil {
			return x.answerStale(s, usable, r.Err)
		}
		return x.answer(r.Val.(*indexState), nil)
	case <-impatient:
		return x.answerStale(s, usable, fault.New(fault.GatewayTimeout, "UpstreamTimeout", "The upstream %s did not answer within %s.", connection, c.of(connection).Patience))
	case <-ctx.Done():
		return nil, packages.RemoteState{}, ctx.Err()
	}
}

func (x *index) answer(s *indexState, failure error) (*packages.RemoteIndex, packages.RemoteState, error) {
	return &packages.RemoteIndex{Revision: s.SHA256, Open: x.open}, packages.RemoteState{Checked: s.Checked, Failure: failure}, nil
}

func (x *index) answerStale(s *indexState, usable bool, failure error) (*packages.RemoteIndex, packages.RemoteState, error) {
	if !usable || !packages.IsRemoteFailure(failure) {
		return nil, packages.RemoteState{}, failure
	}
	return x.answer(s, failure)
}

// open opens what counts of the file now.
func (x *index) open() (io.ReadCloser, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.state == nil {
		return nil, errors.New("source: there is no list")
	}
	f, err := os.Open(x.path)
	if err != nil {
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{io.NewSectionReader(f, 0, x.state.Size), f}, nil
}

// current returns what counts of the file. A file that is damaged is like none.
func (x *index) current() (*indexState, failure, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.loaded {
		s, err := x.load()
		if err != nil {
			return nil, failure{}, err
		}
		x.loaded, x.state = true, s
	}
	return x.state, x.failed, nil
}

func (x *index) load() (*indexState, error) {
	text, err := os.ReadFile(x.path + ".json")
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	s := new(indexState)
	if err := json.Unmarshal(text, s); err != nil {
		return nil, nil
	}
	f, err := os.Open(x.path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	sums, err := sumsOf(io.NewSectionReader(f, 0, s.Size))
	if err != nil {
		return nil, err
	}
	if sums.size != s.Size || sums.sha256 != s.SHA256 {
		return nil, nil
	}
	return s, nil
}

// refreshIndex asks the registry.
func (c *Cache) refreshIndex(x *index) (*indexState, error) {
	ctx, cancel := context.WithTimeout(c.life, indexTimeout)
	defer cancel()
	c.metrics.asked.Inc()
	before, _, err := x.current()
	if err != nil {
		return nil, err
	}
	next, err := x.fetch(ctx, before)
	if err != nil {
		err = c.indexFailed(ctx, x.registry.Connection, err)
		if packages.IsRemoteFailure(err) {
			c.log.Warn("the list of a package registry cannot be read", "registry", x.registry.Connection, "error", err)
			c.metrics.failed.Inc()
			x.mu.Lock()
			x.failed = failure{c.now(), err}
			x.mu.Unlock()
		}
		return nil, err
	}
	if err := x.count(next); err != nil {
		// The list is good. It is lost at the next restart.
		c.log.Warn("the list of a package registry could not be stored", "registry", x.registry.Connection, "error", err)
	}
	return next, nil
}

// count makes the state count, and stores it.
func (x *index) count(next *indexState) error {
	x.mu.Lock()
	x.state, x.failed = next, failure{}
	x.mu.Unlock()
	text, err := json.Marshal(next)
	if err != nil {
		return err
	}
	return atomicfile.Replace(x.path+".json", text, 0o600)
}

// confirmed is the state after the registry has said that nothing has changed.
func (x *index) confirmed(s *indexState) *indexState {
	next := *s
	next.Checked = x.now()
	return &next
}

func (c *Cache) indexFailed(ctx context.Context, connection string, err error) error {
	bad := (*BadAnswer)(nil)
	switch {
	case c.life.Err() != nil:
		return shuttingDown(err)
	case errors.Is(err, packages.ErrNoRemotePackage):
		return fault.Wrap(err, fault.BadGateway, "UpstreamInvalid", "The upstream %s has no list of its packages.", connection)
	case egress.KindOf(err) != "":
		return upstreamFault(err, connection)
	case errors.As(err, &bad):
		return fault.Wrap(err, fault.BadGateway, "UpstreamInvalid", "The list of packages of the upstream %s cannot be used: %s", connection, sentence(bad.What))
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fault.Wrap(err, fault.GatewayTimeout, "UpstreamTimeout", "The upstream %s did not answer within %s.", connection, indexTimeout)
	}
	return err
}

// errStartOver means that the list has not only grown.
var errStartOver = errors.New("the list has changed")

// fetch returns the state after a question. If nothing has changed, it is a copy.
func (x *index) fetch(ctx context.Context, before *indexState) (*indexState, error) {
	if before != nil && before.Grows && before.Size > 0 {
		next, err := x.fetchAddition(ctx, before)
		if !errors.Is(err, errStartOver) {
			return next, err
		}
	}
	h := http.Header{}
	if before != nil && before.ETag != "" {
		h.Set("If-None-Match", before.ETag)
	}
	answer, err := x.ask(ctx, h)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.Status == http.StatusNotModified && before != nil {
		return x.confirmed(before), nil
	}
	return x.replace(answer)
}

// ask asks without compression: the hashes that registries tell are of the document as it
// is, and ranges are offsets in it.
func (x *index) ask(ctx context.Context, h http.Header) (*egress.Response, error) {
	answer, err := x.registry.Client.Do(ctx, egress.Request{URL: x.document.Path, Header: h, MaxBytes: x.document.MaxBytes, Types: x.document.Types})
	if egress.IsNotFound(err) {
		return nil, packages.ErrNoRemotePackage
	}
	return answer, err
}

// fetchAddition asks for what follows the last byte that is here.
func (x *index) fetchAddition(ctx context.Context, before *indexState) (*indexState, error) {
	from := before.Size - 1 // one that is known: a range without a byte is an error
	answer, err := x.ask(ctx, http.Header{"Range": {fmt.Sprintf("bytes=%d-", from)}, "If-None-Match": {before.ETag}})
	var e *egress.Error
	if errors.As(err, &e) && e.Status == http.StatusRequestedRangeNotSatisfiable {
		return nil, errStartOver
	}
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	switch {
	case answer.Status == http.StatusNotModified:
		return x.confirmed(before), nil
	case answer.Status == http.StatusOK:
		return x.replace(answer)
	case answer.Status != http.StatusPartialContent || !strings.HasPrefix(answer.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", from)):
		return nil, errStartOver
	}
	f, err := os.OpenFile(x.path, os.O_RDWR, 0)
	if err != nil {
		return nil, errStartOver
	}
	defer f.Close()
	var have, sent [1]byte
	if _, err := f.ReadAt(have[:], from); err != nil {
		return nil, err
	}
	if _, err := io.ReadFull(answer.Body, sent[:]); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if have != sent {
		return nil, errStartOver
	}
	if _, err := io.Copy(io.NewOffsetWriter(f, before.Size), answer.Body); err != nil {
		return nil, err
	}
	return x.check(f, answer, true)
}

// replace takes an answer with the whole list.
func (x *index) replace(answer *egress.Response) (*indexState, error) {
	f, err := os.CreateTemp(filepath.Dir(x.path), "list-*.tmp")
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close(); _ = os.Remove(f.Name()) }() // after the renaming there is none
	if _, err := io.Copy(f, answer.Body); err != nil {
		return nil, err
	}
	next, err := x.check(f, answer, false)
	if err != nil {
		return nil, err
	}
	// Who opens the file now must read as many bytes as it has.
	x.mu.Lock()
	defer x.mu.Unlock()
	if err := os.Rename(f.Name(), x.path); err != nil {
		return nil, err
	}
	x.state = next
	return next, nil
}

// check compares the file with what the registry says of it. An addition must be right; a
// whole list must not be wrong.
func (x *index) check(f *os.File, answer *egress.Response, addition bool) (*indexState, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	size := info.Size()
	if addition { // what an earlier, interrupted one has left does not count
		_, total, _ := strings.Cut(answer.Header.Get("Content-Range"), "/")
		var n int64
		if _, err := fmt.Sscanf(total, "%d", &n); err != nil || n > size || n > x.document.MaxBytes {
			return nil, errStartOver
		}
		size = n
	}
	head := make([]byte, 512)
	n, err := f.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if !addition && !x.document.Valid(head[:n]) {
		return nil, &BadAnswer{What: "it is not such a list"}
	}
	sums, err := sumsOf(io.NewSectionReader(f, 0, size))
	if err != nil {
		return nil, err
	}
	next := &indexState{Size: size, SHA256: sums.sha256, ETag: answer.Header.Get("ETag"), Checked: x.now()}
	digest := toldDigest(answer.Header)
	switch {
	case digest != "":
		next.Grows = digest == sums.sha256
	default:
		next.Grows = strings.Trim(strings.TrimPrefix(next.ETag, "W/"), `"`) == sums.md5
	}
	switch {
	case addition && !next.Grows:
		return nil, errStartOver
	case digest != "" && !next.Grows:
		return nil, &BadAnswer{What: "it is damaged: its SHA-256 is not the one that the registry tells"}
	}
	return next, nil
}

// toldDigest returns the SHA-256 of the whole document in hex (RFC 9530), or "".
func toldDigest(h http.Header) string {
	for _, header := range []string{"Repr-Digest", "Digest"} {
		for part := range strings.SplitSeq(h.Get(header), ",") {
			name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
			if !strings.EqualFold(name, "sha-256") {
				continue
			}
			if raw, err := base64.StdEncoding.DecodeString(strings.Trim(value, ":")); err == nil && len(raw) == sha256.Size {
				return hex.EncodeToString(raw)
			}
		}
	}
	return ""
}

type indexSums struct {
	size        int64
	sha256, md5 string
}

func sumsOf(r io.Reader) (s indexSums, err error) {
	h1, h2 := sha256.New(), md5.New()
	s.size, err = io.Copy(io.MultiWriter(h1, h2), r)
	s.sha256, s.md5 = hex.EncodeToString(h1.Sum(nil)), hex.EncodeToString(h2.Sum(nil))
	return s, err
}

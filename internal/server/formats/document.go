package formats

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/gatehouse-registry/gatehouse/internal/httpheader"
	"github.com/gatehouse-registry/gatehouse/internal/respwriter"
)

// minGzip is the size in bytes from which on a document is compressed.
const minGzip = 1 << 10

// A Document is a rendered answer that many requests share: npm's document of a
// package, or a project's page of the simple index. It is immutable. Its validators are
// those that the format's clients compare: see the methods that begin with With.
type Document struct {
	contentType string
	body        []byte
	zip         func() []byte
	sums        func() Sums
	// The ETags of the body and of its compressed form, with their quotes.
	plain, zipped string
	modified      time.Time
	ranges        bool
}

// NewDocument returns a document with the given bytes, which it keeps. Its ETag is
// a hash of them, so it is the same after a restart and on every replica. The
// compressed form has an ETag of its own (RFC 9110, section 8.8.3.3).
func NewDocument(contentType string, body []byte) *Document {
	sum := sha256.Sum256(body)
	etag := hex.EncodeToString(sum[:16])
	return &Document{
		contentType: contentType,
		body:        body,
		zip:         sync.OnceValue(func() []byte { return compress(body) }),
		sums:        sync.OnceValue(func() Sums { return SumsOf(body) }),
		plain:       `"` + etag + `"`,
		zipped:      `"` + etag + `-gzip"`,
	}
}

// WithMD5 returns the document with the MD5 of the body as its ETag, in hex, whether it
// is compressed or not. Bundler before 2.5 takes the ETag for this sum.
func (d Document) WithMD5() *Document {
	sum := md5.Sum(d.body)
	d.plain = `"` + hex.EncodeToString(sum[:]) + `"`
	d.zipped = d.plain
	return &d
}

// WithModified returns the document with a Last-Modified header, for clients that
// compare that (If-Modified-Since). Its precision is a second: changes within one
// second look the same.
func (d Document) WithModified(t time.Time) *Document {
	d.modified = t
	return &d
}

// WithRanges returns the document so that clients may ask for a part of it (Range,
// If-Range). Such an answer is not compressed: ranges are offsets in the body.
func (d Document) WithRanges() *Document {
	d.ranges = true
	return &d
}

// Body is the body, which must not be changed.
func (d *Document) Body() []byte { return d.body }

// Sums computes the hashes of the body, for the checksum files of the document.
func (d *Document) Sums() Sums { return d.sums() }

// compress compresses a document for the first client that asks for it, which waits. So it
// takes the fastest level: a third of the time of the default one of the standard library, for
// 5 % more bytes of a large page of a simple index.
func compress(body []byte) []byte {
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, gzip.BestSpeed) // the level is a valid one
	_, _ = z.Write(body)                            // a bytes.Buffer takes everything
	_ = z.Close()
	return b.Bytes()
}

// Serve answers with the document: 304 if the client has it, compressed if the
// client takes gzip. A client may keep the answer but must revalidate it before
// each use, so the next install sees what was published.
func (d *Document) Serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	setDocumentHeader(h)
	if !d.modified.IsZero() {
		h.Set("Last-Modified", d.modified.UTC().Format(http.TimeFormat))
	}
	if d.ranges {
		h.Set("Accept-Ranges", "bytes")
	}
	part := d.ranges && r.Method == http.MethodGet && r.Header.Get("Range") != ""
	zipped := !part && len(d.body) >= minGzip && httpheader.AcceptsGzip(r.Header)
	etag := d.plain
	if zipped {
		etag = d.zipped
	}
	has := formOf(r, etag, d.plain, d.zipped)
	if has != "" {
		etag = has
	}
	h["Etag"] = []string{etag}
	if has != "" || notModified(r, d.modified) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", d.contentType)
	if part {
		// What is left for ServeContent is Range and If-Range.
		http.ServeContent(w, r, "", d.modified, bytes.NewReader(d.body))
		return
	}
	body := d.body
	if zipped {
		body = d.zip()
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_ = respwriter.WriteWhole(w, r, body) // the client is gone
	}
}

// formOf returns the first of the ETags that the client has, or nothing. Either coding's is
// good for a 304, since both stand for the same document. The answer has the one that the
// client has: by it, a cache finds which of its answers is still good (RFC 9111, section 4.3.4).
func formOf(r *http.Request, etags ...string) string {
	for _, etag := range etags {
		if httpheader.NoneMatch(r.Header, etag) {
			return etag
		}
	}
	return ""
}

func setDocumentHeader(h http.Header) {
	h["Vary"] = varies
	h["Cache-Control"] = revalidated
	neverRun(h)
}

// The values of headers that each answer has are shared: nobody changes a value in place.
var (
	varies      = []string{"Accept, Accept-Encoding"}
	revalidated = []string{"private, no-cache"}
	noSniffing  = []string{"nosniff"}
	sandboxed   = []string{"default-src 'none'; sandbox"}
	immutable   = []string{"private, max-age=31536000, immutable"}
	octetStream = []string{"application/octet-stream"}
)

// neverRun keeps a browser from running scripts in what publishers wrote, such as the
// XML of a manifest, as if it were a page of the server.
func neverRun(h http.Header) {
	h["X-Content-Type-Options"] = noSniffing
	h["Content-Security-Policy"] = sandboxed
}

// notModified reports whether the client has what was modified last at a time. It
// counts only if the client compares no ETags (RFC 9110, section 13.1.3).
func notModified(r *http.Request, modified time.Time) bool {
	if modified.IsZero() || len(r.Header["If-None-Match"]) > 0 {
		return false
	}
	since, err := http.ParseTime(r.Header.Get("If-Modified-Since"))
	return err == nil && !modified.Truncate(time.Second).After(since)
}

// cost is what a document counts in a cache, in bytes: its body, and a quarter of
// that for the compressed form, which may exist.
func (d *Document) cost() int64 { return int64(len(d.body)) + int64(len(d.body))/4 + 512 }

package ruby

import (
	"bufio"
	"bytes"
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strconv"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/ruby/rubygem"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// The document versions is the list of all gems with the MD5 of the document about each,
// by which Bundler knows that it must fetch that again. Bundler asks only for gems that
// are in the list. So if the repository has an external connection, the lines of the
// registry's list are in it too.
//
// Lines of gems that were published here come first, sorted by name. Those of the registry
// follow in its order. So as long as nothing is published here, the list grows only at its
// end, as the registry's does, and clients fetch only what is new (Range).

// createdAt stands in the first line of versions. It says when the document was begun,
// which nobody needs, and must not change with each rendering.
const createdAt = "2024-01-01T00:00:00Z"

// maxLine bounds a line of an external registry's list, in bytes: a name with thousands of
// versions has 64 KiB.
const maxLine = 1 << 20

func (h *Handler) getVersions(w http.ResponseWriter, r *formats.Request, _ route) error {
	doc, err := h.Index(r, "versions", func(ctx context.Context) (*formats.Document, error) {
		// The list of a public registry has tens of megabytes.
		return h.Documents.Render(ctx, func() (*formats.Document, error) { return h.renderVersions(ctx, r) })
	})
	if err != nil {
		return err
	}
	serveGrowing(w, r.Request, doc)
	return nil
}

func (h *Handler) renderVersions(ctx context.Context, r *formats.Request) (*formats.Document, error) {
	l, err := h.allGems(ctx, r)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.WriteString("created_at: " + createdAt + "\n---\n")
	for p, err := range h.own(ctx, r, l) {
		if err != nil {
			return nil, err
		}
		if err := h.versionsLine(&b, r, p); err != nil {
			return nil, err
		}
	}
	err = eachLine(l.external, func(line rubygem.VersionsLine, text []byte) {
		if !l.known[line.Name] {
			b.Write(text)
			b.WriteByte('\n')
		}
	})
	return formats.NewDocument(mediaText, b.Bytes()).WithMD5(), err
}

// allGems are the gems that a repository has or sees.
type allGems struct {
	kept     []*packages.Package     // published or kept here
	external *packages.ExternalIndex // nil if there is no registry, or it fails
	listed   map[string]bool         // those kept that the registry lists
	known    map[string]bool         // those listed about which this server knows better
}

// allGems reads what the documents about all gems are made of.
func (h *Handler) allGems(ctx context.Context, r *formats.Request) (*allGems, error) {
	kept, err := h.gems(ctx, r.Repository)
	if err != nil {
		return nil, err
	}
	l := &allGems{kept: kept, listed: map[string]bool{}, known: map[string]bool{}}
	l.external, err = h.Packages.ExternalIndex(ctx, r.Repository, packages.Ruby)
	// What is kept goes on to be served. An empty list would say that there are no gems.
	if err != nil && !(packages.IsRemoteFailure(err) && len(kept) > 0) {
		return nil, err
	}
	byName := map[string]*packages.Package{}
	for _, p := range kept {
		byName[p.ID.Name] = p
	}
	err = eachLine(l.external, func(line rubygem.VersionsLine, _ []byte) {
		if p := byName[line.Name]; p != nil && !l.listed[line.Name] {
			l.listed[line.Name] = true
			if hasOwn(p) {
				l.known[line.Name] = true
			}
		}
	})
	return l, err
}

// own returns the gems of which the documents about all gems say what this server knows. Of
// the others the registry's lines are right.
func (h *Handler) own(ctx context.Context, r *formats.Request, l *allGems) iter.Seq2[*packages.Package, error] {
	return func(yield func(*packages.Package, error) bool) {
		for _, p := range l.kept {
			if l.listed[p.ID.Name] && !l.known[p.ID.Name] {
				continue
			}
			var err error
			if l.known[p.ID.Name] { // and the registry may have more versions
				if p, err = h.Packages.Package(ctx, r.Repository, p.ID); formats.IsNotFound(err) {
					continue
				}
			}
			if !yield(p, err) || err != nil {
				return
			}
		}
	}
}

// hasOwn reports whether a version was published here, or changed.
func hasOwn(p *packages.Package) bool {
	for v := range p.Downloadable() {
		if !v.External() || v.Status != packages.Published {
			return true
		}
	}
	return false
}

func (h *Handler) versionsLine(b *bytes.Buffer, r *formats.Request, p *packages.Package) error {
	info, err := h.info(r, p)
	if err != nil {
		return err
	}
	var numbers []string
	for _, build := range listed(p) {
		numbers = append(numbers, build.number())
	}
	if len(numbers) > 0 {
		sum := md5.Sum(info.Body())
		fmt.Fprintf(b, "%s %s %s\n", p.ID.Name, strings.Join(numbers, ","), hex.EncodeToString(sum[:]))
	}
	return nil
}

// eachLine calls do for the lines of an external registry's list that clients see. line is
// valid until do returns. Lines that clients could not read are left out.
func eachLine(external *packages.ExternalIndex, do func(l rubygem.VersionsLine, line []byte)) error {
	if external == nil {
		return nil
	}
	list, err := external.Open()
	if err != nil {
		return err
	}
	defer list.Close()
	lines := bufio.NewReaderSize(list, maxLine)
	for tooLong := false; ; {
		line, err := lines.ReadSlice('\n')
		if err == bufio.ErrBufferFull {
			tooLong = true
			continue
		}
		if l, ok := rubygem.ParseVersionsLine(string(line)); ok && !tooLong && external.Shows(l.Name) {
			do(l, bytes.TrimRight(line, "\r\n"))
		}
		tooLong = false
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// serveGrowing serves a document of which the client may have the beginning. It gets a part
// only if that is so: clients compare the sum of what they then have.
func serveGrowing(w http.ResponseWriter, r *http.Request, doc *formats.Document) {
	if !hasBeginning(r, doc.Body()) {
		doc.Serve(w, r)
		return
	}
	// Bundler from 2.5 on compares this, older ones the ETag.
	if raw, err := hex.DecodeString(doc.Sums().SHA256); err == nil {
		w.Header().Set("Repr-Digest", "sha-256=:"+base64.StdEncoding.EncodeToString(raw)+":")
	}
	doc.WithRanges().Serve(w, r)
}

// hasBeginning reports whether the client asks for what follows the last byte that it has,
// and has the beginning of the document: its ETag is the MD5 of that.
func hasBeginning(r *http.Request, body []byte) bool {
	text, ok := strings.CutPrefix(r.Header.Get("Range"), "bytes=")
	if !ok {
		return false
	}
	text, ok = strings.CutSuffix(text, "-")
	last, err := strconv.Atoi(text)
	if !ok || err != nil || last < 0 || last >= len(body) {
		return false
	}
	sum := md5.Sum(body[:last+1])
	return strings.TrimPrefix(r.Header.Get("If-None-Match"), "W/") == `"`+hex.EncodeToString(sum[:])+`"`
}

// CheckRelease refuses names and versions that cannot be published. Imports use it.
func CheckRelease(id packages.PackageID, version string) error {
	if !rubygem.ValidName(id.Name) {
		return fault.New(fault.Invalid, "InvalidName", "%.200q is not the name of a gem.", id.Name)
	}
	if !rubygem.ValidVersion(version) {
		return fault.New(fault.Invalid, "InvalidVersion", "%.200q is not the version of a gem.", version)
	}
	return nil
}

package cargo

import (
	"bufio"
	"context"
	"io"
	"net/http"

	"github.com/gatehouse-registry/gatehouse/internal/server/formats/cargo/stored"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/archive"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// metadataWeight is the memory that a byte of the metadata takes while it is published.
const metadataWeight = 4

// warnings is the answer to a publication. cargo prints the texts in Other.
type warnings struct {
	InvalidCategories []string `json:"invalid_categories"`
	InvalidBadges     []string `json:"invalid_badges"`
	Other             []string `json:"other"`
}

// publish receives a version. The store has it, and so has the index, when it answers.
func (h *Handler) publish(w http.ResponseWriter, r *formats.Request, _ route) error {
	// cargo has read config.json before, so who may not read cannot publish with it.
	if err := h.Packages.AuthorizedUnnamed(r.Context(), r.Repository, crate("*"), "codeartifact:PublishPackageVersion"); err != nil {
		return err
	}
	memory := h.Bodies.Reader(r.Request, r.Body, metadataWeight)
	defer memory.Release()
	sent, err := readPublication(memory)
	if err != nil {
		return err
	}
	id := crate(sent.Name)
	r.About(id, sent.Version)
	content, err := h.stage(r, id)
	if err != nil {
		return err
	}
	defer content.Discard()
	if err := sent.compare(r.Context(), content, h.Archives); err != nil {
		return err
	}
	metadata, err := encode(sent.about(), newIndexEntry(sent, r.Base))
	if err != nil {
		return err
	}
	before := h.existing(r, id, sent.Version)
	_, err = h.Packages.Publish(r.Context(), packages.Publication{
		Repository: r.Repository, Package: id, Version: sent.Version,
		Metadata: metadata, Description: sent.describe(), Search: sent.searchText(),
		Assets: []packages.StagedAsset{{Name: stored.AssetName(sent.Name, sent.Version), Content: content}},
	})
	if err != nil {
		return err
	}
	answer := map[string]warnings{"warnings": {Other: again(before)}}
	return writeJSON(w, http.StatusOK, answer)
}

// existing returns the version if the repository has it already, for a warning.
func (h *Handler) existing(r *formats.Request, id packages.PackageID, version string) *packages.Version {
	p, err := h.Packages.Package(r.Context(), r.Repository, id)
	if err != nil {
		return nil // it does not exist, or the caller may not read
	}
	return p.Version(version)
}

// again is the warning for a version that was published before with the same bytes.
func again(v *packages.Version) []string {
	switch {
	case v == nil:
		return nil
	case yanked(v):
		return []string{"this version was published before with the same content, and is yanked; cargo yank --undo takes that back"}
	}
	return []string{"this version was published before with the same content; nothing has changed"}
}

// stage receives the second part of the body: the length of the .crate, as 32 bits,
// little-endian, and the .crate.
func (h *Handler) stage(r *formats.Request, id packages.PackageID) (*packages.Staged, error) {
	size, err := readLength(r.Body)
	if err != nil {
		return nil, err
	}
	if int64(size) > h.MaxAsset {
		return nil, fault.New(fault.TooLarge, "CrateTooLarge", "The .crate has %d bytes; %d are accepted.", size, h.MaxAsset)
	}
	content, err := h.Packages.Stage(r.Context(), r.Repository, id, io.LimitReader(r.Body, int64(size)), int64(size))
	if err != nil {
		return nil, err
	}
	if content.Size < int64(size) {
		err = incomplete(io.ErrUnexpectedEOF)
	} else if n, _ := io.ReadFull(r.Body, make([]byte, 1)); n > 0 {
		err = invalid("InvalidBody", "Something follows the .crate in the body.")
	}
	if err != nil {
		content.Discard()
		return nil, err
	}
	return content, nil
}

// compare reads the .crate and checks that it is the one that the metadata describe.
// What cargo reads from the manifest in it once it is unpacked counts, not what the
// client says.
func (p *publication) compare(ctx context.Context, content *packages.Staged, archives *archive.Limiter) error {
	object, err := content.Open(ctx)
	if err != nil {
		return err
	}
	defer object.Close()
	release, err := archives.Acquire(ctx, 0, archive.Limits{})
	if err != nil {
		return err
	}
	defer release()
	a, err := readArchive(ctx, bufio.NewReaderSize(&storeReader{object}, 64<<10), content.Size, p.Name, p.Version)
	if err != nil {
		return formats.BadContent(err, "InvalidCrate", "The .crate of %s %s cannot be accepted.", p.Name, p.Version)
	}
	p.Links, p.RustVersion = a.manifest.Package.Links, a.manifest.Package.RustVersion
	if p.Readme == "" {
		p.Readme = a.readme
	}
	return nil
}

// A storeReader marks errors of the store, so that they are not taken for those of a
// bad archive.
type storeReader struct{ r io.Reader }

func (s *storeReader) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		err = fault.From(err)
	}
	return n, err
}

package formats

import (
	"github.com/gatehouse-registry/gatehouse/internal/server/bodybudget"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/archive"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// A ProtocolConfig configures the protocol of any format. Only Packages is required.
type ProtocolConfig struct {
	// Packages is the store.
	Packages *packages.Service
	// MaxAsset bounds the size of an asset, in bytes. 0 means 5 GB, CodeArtifact's
	// quota "Asset file size maximum".
	MaxAsset int64
	// Documents is the cache of rendered documents, which all formats share. nil is a
	// cache of 32 MiB of the protocol's own.
	Documents *DocumentCache
	// Bodies bounds the memory of documents that are being published, in all requests
	// together. nil is no bound.
	Bodies *bodybudget.Budget
	// Archives bounds the memory of archives that are being read, in all requests
	// together. nil is no bound.
	Archives *archive.Limiter
}

// DefaultMaxAsset is the default of ProtocolConfig.MaxAsset.
const DefaultMaxAsset = 5_000_000_000

// A Base is what the protocols of all formats have in common: they embed it. P is an
// address of the format, parsed. A protocol sets Table, which serves its requests, and
// adds the other methods of [Protocol].
type Base[P any] struct {
	*Table[P]
	Packages  *packages.Service
	MaxAsset  int64
	Documents *Documents
	Bodies    *bodybudget.Budget
	Archives  *archive.Limiter
}

// NewBase returns the base of a format's protocol, without a table.
func NewBase[P any](f packages.Format, c ProtocolConfig) Base[P] {
	if c.MaxAsset == 0 {
		c.MaxAsset = DefaultMaxAsset
	}
	if c.Documents == nil {
		c.Documents = NewDocumentCache(32 << 20)
	}
	return Base[P]{Packages: c.Packages, MaxAsset: c.MaxAsset, Documents: c.Documents.For(f), Bodies: c.Bodies, Archives: c.Archives}
}

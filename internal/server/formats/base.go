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
	// MaxAsset bounds the size of an asset, in bytes. 0 means packages.MaxAssetSize.
	MaxAsset int64
	// Documents is the cache of rendered documents, which all formats share. If it is nil,
	// the protocol has a cache of 32 MiB of its own.
	Documents *DocumentCache
	// Bodies bounds the memory of documents that are being published, in all requests
	// together. If it is nil, there is no bound.
	Bodies *bodybudget.Budget
	// Archives bounds the memory of archives that are being read, in all requests
	// together. If it is nil, there is no bound.
	Archives *archive.Limiter
}

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
		c.MaxAsset = packages.MaxAssetSize
	}
	if c.Documents == nil {
		c.Documents = NewDocumentCache(32 << 20)
	}
	return Base[P]{Packages: c.Packages, MaxAsset: c.MaxAsset, Documents: c.Documents.For(f), Bodies: c.Bodies, Archives: c.Archives}
}

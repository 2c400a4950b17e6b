package packages

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"slices"

	"github.com/gatehouse-registry/gatehouse/internal/server/blob/integrity"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// A disk that is repaired or restored can lose objects or shorten them. Such an asset
// does not exist for readers (Service.open), and publishing the same bytes again,
// or taking them from an external registry, replaces the object (replaceLost). Package integrity finds them.

// lostContent returns the content of a publication that the domain has already but
// whose object is missing or damaged: SHA-256 → object.
func (s *Service) lostContent(ctx context.Context, r *repository, assets []StagedAsset) (map[string]string, error) {
	lost := map[string]string{}
	for _, a := range assets {
		objects, err := db.All(ctx, s.db, db.Scalar[string], `SELECT object FROM pkg_content WHERE domain = $1 AND sha256 = $2`,
			r.domainRow, a.Content.SHA256)
		if err != nil {
			return nil, err
		}
		for _, object := range objects {
			intact, err := s.hasContent(ctx, object, a.Content)
			if err != nil {
				return nil, err
			}
			if !intact {
				lost[a.Content.SHA256] = object
			}
		}
	}
	return lost, nil
}

// hasContent reports whether an object has the bytes that were staged again.
func (s *Service) hasContent(ctx context.Context, object string, c *Staged) (bool, error) {
	o, err := integrity.Open(ctx, s.blobs, object, c.Size)
	if integrity.IsDamaged(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer o.Close()
	h := sha256.New()
	if _, err := io.Copy(h, o); err != nil {
		return false, err
	}
	return hex.EncodeToString(h.Sum(nil)) == c.SHA256, nil
}

// errContentUnchecked means that the domain has some of a publication's content already,
// and that its objects must be read before the publication can go on. Reading them is
// nothing to do within a transaction, and most publications have new content only.
var errContentUnchecked = errors.New("the content of the publication that is stored already was not checked")

// restoreContent puts the staged bytes into the place of lost content. Call it when the
// new content is written.
func (w *publishTx) restoreContent(ctx context.Context, tx *db.Tx) error {
	for _, a := range w.Assets {
		if slices.Contains(w.kept, a.Content) {
			continue
		}
		object, err := w.replaceLost(ctx, tx, a.Content, w.lost)
		if err != nil {
			return err
		}
		if object != "" {
			w.replaced = append(w.replaced, object)
			w.kept = append(w.kept, a.Content)
		}
	}
	return nil
}

// replaceLost puts staged bytes that the domain has already into the place of an object
// that is lost. lost is what lostContent found; nil means that it was not looked for yet.
// It returns the object that was replaced, or "".
func (c *packageChange) replaceLost(ctx context.Context, tx *db.Tx, content *Staged, lost map[string]string) (replaced string, err error) {
	if lost == nil {
		return "", errContentUnchecked
	}
	object, ok := lost[content.SHA256]
	if !ok {
		return "", nil
	}
	// The object is still the lost one unless another change was faster.
	n, err := tx.Exec(ctx, `UPDATE pkg_content SET object = $4 WHERE domain = $1 AND sha256 = $2 AND object = $3`,
		c.repository.domainRow, content.SHA256, object, content.object)
	if err != nil || n == 0 {
		return "", err
	}
	return object, c.service.removals.SetAside(ctx, tx, c.at.Add(deleteAfter), object)
}

// currentObject returns the object of an asset's content, which may have changed
// since the asset was read, or "".
func (s *Service) currentObject(ctx context.Context, r *repository, a *Asset) (string, error) {
	objects, err := db.All(ctx, s.db, db.Scalar[string], `SELECT object FROM pkg_content WHERE domain = $1 AND sha256 = $2`, r.domainRow, a.SHA256)
	if err != nil || len(objects) == 0 {
		return "", err
	}
	return objects[0], nil
}

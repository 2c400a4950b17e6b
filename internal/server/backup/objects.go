package backup

import (
	"context"
	"os"
	"sync"

	"github.com/gatehouse-registry/gatehouse/internal/server/blob/local"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/transfer"
	"github.com/gatehouse-registry/gatehouse/internal/server/consistency"
	"github.com/gatehouse-registry/gatehouse/internal/server/progress"
)

// parallel is how many objects are copied at a time. More do not help one disk.
const parallel = 4

// copyObjects brings the objects of the snapshot into the backup, durably.
func (c *creation) copyObjects(ctx context.Context) error {
	// A new installation has no folder of blobs.
	if err := os.MkdirAll(c.folder.path(blobsDir), 0o700); err != nil {
		return err
	}
	from := c.folder.path(blobsDir)
	if _, err := os.Stat(c.source.Blobs); err == nil {
		from = c.source.Blobs
	}
	view, err := local.OpenView(from)
	if err != nil {
		return err
	}
	defer view.Close()
	store, err := local.Open(c.folder.path(blobsDir))
	if err != nil {
		return err
	}
	defer store.Close()
	have, err := local.OpenView(c.folder.path(blobsDir))
	if err != nil {
		return err
	}
	defer have.Close()
	phase := c.options.Progress.Begin("blobs", c.Objects.Bytes, progress.Bytes)
	defer phase.End()
	link := store.Link
	if c.options.Copies {
		link = store.Clone
	}
	oc := &objectCopy{from: view, have: have, to: store, link: link, counts: &c.Manifest, phase: phase}
	if err := transfer.Each(ctx, parallel, c.listedObjects(), oc.copy); err != nil {
		return err
	}
	return store.Sync()
}

// An objectCopy copies objects from the installation to the backup.
type objectCopy struct {
	from, have *local.View
	to         *local.Store
	link       func(ctx context.Context, from *local.View, name string) (bool, error)
	phase      progress.Phase

	mu     sync.Mutex
	counts *Manifest
}

func (c *objectCopy) copy(ctx context.Context, o consistency.Object) error {
	defer c.phase.Add(o.Size)
	if hasSize(ctx, c.have, o) {
		return nil
	}
	linked, err := c.put(ctx, o)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err == nil:
		c.counts.Objects.Added++
		c.counts.Objects.AddedBytes += o.Size
		if linked {
			c.counts.Objects.Linked++
		}
		return nil
	case transfer.IsDamaged(err):
		c.counts.Objects.Damaged++
		if len(c.counts.Damaged) < MaxDamaged {
			c.counts.Damaged = append(c.counts.Damaged, DamagedObject{o.Name, o.Digests[0], err.Error()})
		}
		return nil
	}
	return err
}

// put links or copies an object. A link is made without reading the object: only its
// size is compared.
func (c *objectCopy) put(ctx context.Context, o consistency.Object) (linked bool, err error) {
	if hasSize(ctx, c.from, o) {
		// What an interrupted copy left, and an object of another size.
		if err := c.to.Delete(ctx, o.Name); err != nil {
			return false, err
		}
		if linked, err := c.link(ctx, c.from, o.Name); linked || err != nil {
			return linked, err
		}
	}
	return false, transfer.Copy(ctx, c.from, c.to, o.Name, o.Size, o.Digests...)
}

// hasSize reports whether a store has an object with the recorded size.
func hasSize(ctx context.Context, v *local.View, o consistency.Object) bool {
	f, err := v.Open(ctx, o.Name)
	if err != nil {
		return false
	}
	defer f.Close()
	return f.Size() == o.Size
}

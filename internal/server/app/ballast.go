package app

import (
	"errors"
	"io"
	"math/rand/v2"
	"os"

	"github.com/gatehouse-registry/gatehouse/internal/server/diskspace"
)

// The ballast is a file without meaning. A start needs a little room: SQLite
// creates files beside the database. On a full disk the start removes the ballast
// and so can serve reads, and deletions that free more.
const (
	ballastFile = "ballast"
	maxBallast  = 4 << 20
)

// ballastSize is a small part of the disk, in bytes; 0 if its size is unknown.
func (d *dataDir) ballastSize() (size, free uint64) {
	space, ok := diskspace.Of(d.path)
	if !ok {
		return 0, 0
	}
	return min(maxBallast, space.Total/32), space.Free
}

// releaseBallast removes the ballast if the disk has less room than it has.
func (d *dataDir) releaseBallast() {
	if size, free := d.ballastSize(); free < size {
		_ = d.root.Remove(ballastFile) // if it fails, so may the start
	}
}

// restoreBallast writes the ballast if there is none and the disk has room for
// it. If it fails, the server is as good as without.
func (d *dataDir) restoreBallast() {
	size, free := d.ballastSize()
	if size == 0 || free < 2*size {
		return
	}
	f, err := d.root.OpenFile(ballastFile, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return
	}
	// Random bytes, since a file system may store zeros in no room.
	var seed [32]byte
	_, err = io.CopyN(f, rand.NewChaCha8(seed), int64(size))
	if errors.Join(err, f.Sync(), f.Close()) != nil {
		_ = d.root.Remove(ballastFile)
	}
}

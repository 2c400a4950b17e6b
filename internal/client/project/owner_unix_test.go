//go:build unix

package project_test

import (
	"io/fs"
	"os"
	"syscall"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/client/project"
)

// owned is a file of a user.
type owned struct {
	fs.FileInfo
	uid uint32
}

func (o owned) Sys() any { return &syscall.Stat_t{Uid: o.uid} }

// A file of another user is not one's own; the administrator's is as good.
func TestOwnedByUser(t *testing.T) {
	me := uint32(os.Geteuid())
	for uid, want := range map[uint32]bool{me: true, 0: true, me + 1: false, 65534: me == 65534} {
		if got := project.OwnedByUser(owned{uid: uid}); got != want {
			t.Errorf("user %d: %v", uid, got)
		}
	}
}

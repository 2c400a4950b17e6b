package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

const (
	storeInstallations = 2  // at a time, since most of the time is spent waiting
	storeRounds        = 25 // how often the server of each is killed
)

// TestCrash_Stores kills a server on PostgreSQL and S3 again and again, and in every
// second round PostgreSQL or the S3 server a moment before. The rules are those of
// TestCrash_UnderLoad. At the same time, gatehouse migrate is killed.
func TestCrash_Stores(t *testing.T) {
	t.Parallel()
	seed := newSeed(t)
	t.Run("migrate", func(t *testing.T) {
		t.Parallel()
		migrateThereAndBack(t, seed)
	})
	for i := range storeInstallations {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			crashStores(t, seed+uint64(i))
		})
	}
}

func crashStores(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 0))
	stores := newStores(t)
	name, err := stores.newDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(t.TempDir(), "data")
	config := filepath.Join(t.TempDir(), "gatehouse.yaml")
	settings := fmt.Sprintf("data: %s\ndatabase: %s\nblobs: %s\n", data, stores.url(name), stores.bucket(name))
	if err := os.WriteFile(config, []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	start := func() *process {
		return startProcessWith(t, stores.environment(), data, "--config", config, "--log-level", "error")
	}
	ledger, begun := newLedger(), &uploads{bytes: map[string][]byte{}}

	s := connectFirst(t, start(), data, ledger)
	killed := map[string]int{}
	for round := range storeRounds {
		store := []*storeServer{nil, nil, stores.postgres, stores.s3}[round%4]
		if s.storeKilled = store != nil; s.storeKilled {
			s.trigger.kill = store.kill
			killed[store.name]++
		}
		s.trigger.left.Store(1 + r.Int64N(events))
		s.work(t, clients(s, round, seed, begun))
		if t.Failed() {
			return
		}
		if s.storeKilled {
			s.kill()
			store.start()
		}
		if err := s.wait(); err == nil || !s.trigger.fired() {
			t.Fatalf("round %d: the server ended by itself: %v", round, err)
		}
		killed["gatehouse"]++
		s = connect(t, start(), data, ledger)
		s.check(t, fmt.Sprintf("round %d", round))
		s.resume(t, begun)
		if round%verifyEvery == 0 {
			verifyInstallation(t, stores.environment(), "--config", config)
		}
	}
	s.trigger.left.Store(1 << 40)
	s.check(t, "at the end")
	s.idle()
	s.terminate()
	if err := s.wait(); err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}
	t.Logf("kills: %v", killed)
	verifyInstallation(t, stores.environment(), "--config", config)
}

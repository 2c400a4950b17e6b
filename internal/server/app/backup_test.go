package app_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/app"
	"github.com/gatehouse-registry/gatehouse/internal/server/backup"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/local"
	"github.com/gatehouse-registry/gatehouse/internal/server/progress"
)

// source is what the fixture's server keeps.
func (g *fixture) source() backup.Source {
	return backup.Source{Database: g.file("gatehouse.db"), Blobs: g.file("blobs"), Keyring: g.file("keyring.json"), Account: victim}
}

func (g *fixture) createBackup(dir string, o backup.Options) *backup.Generation {
	g.t.Helper()
	o.Version, o.Now = "test", time.Now
	generation, err := backup.Create(g.t.Context(), g.source(), dir, o)
	if err != nil {
		g.t.Fatal(err)
	}
	return generation
}

// restored restores a backup to a new folder and moves the fixture there.
func (g *fixture) restored(dir, generation string) {
	g.t.Helper()
	target := filepath.Join(g.t.TempDir(), "restored")
	r, err := backup.Restore(g.t.Context(), dir, generation, target, nil)
	if err != nil {
		g.t.Fatal(err)
	}
	if r.DamagedCount > 0 {
		g.t.Errorf("damaged: %+v", r.Damaged)
	}
	if found, _ := verified(g.t, target, "", false); len(found) > 0 && !slices.Equal(found, []string{"orphan"}) {
		g.t.Errorf("the restored installation: %v", found)
	}
	g.stop()
	g.data = target
	g.serve()
}

// pull reads a layer of app and the manifest of a tag.
func (g *fixture) pull(authorization, tag, layer string) {
	g.t.Helper()
	for _, path := range []string{"/v2/app/manifests/" + tag, "/v2/app/blobs/" + digestOf(layer)} {
		if status, body := g.raw(http.MethodGet, path, authorization); status != http.StatusOK {
			g.t.Errorf("%s: %d %s", path, status, body)
		}
	}
}

func digestOf(content string) string { return "sha256:" + hash(content) }

// A backup that is made while clients push has everything that was acknowledged before
// it began, is consistent in itself, and opens without complaint.
func TestBackup_WhileClientsPush(t *testing.T) {
	g := start(t)
	g.fill()
	authorization := "Basic " + g.imageToken(g.admin(victim))
	dir := filepath.Join(t.TempDir(), "backup")
	stop := make(chan struct{})
	acknowledged := make(chan struct{}, 10)
	var pushing sync.WaitGroup
	for client := range 3 {
		pushing.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				g.push(authorization, "app", fmt.Sprintf("layer %d of client %d", i, client))
				select {
				case acknowledged <- struct{}{}:
				default:
				}
			}
		})
	}
	for range cap(acknowledged) {
		<-acknowledged
	}
	g.push(authorization, "app", "before the backup")
	generation := g.createBackup(dir, backup.Options{})
	again := g.createBackup(dir, backup.Options{})
	close(stop)
	pushing.Wait()
	if generation.Objects.Damaged+again.Objects.Damaged > 0 || again.Objects.Added >= again.Objects.Count {
		t.Errorf("first %+v, second %+v", generation.Objects, again.Objects)
	}
	g.push(authorization, "app", "after the backup")
	for _, name := range []string{generation.Name, again.Name} {
		g.restored(dir, name)
		g.pull(authorization, "signed", "before the backup")
		if status, _ := g.raw(http.MethodGet, "/v2/app/blobs/"+digestOf("after the backup"), authorization); status != http.StatusNotFound {
			t.Errorf("a later layer: %d", status)
		}
		g.push(authorization, "app", "a push to the restored server")
		g.pull(authorization, "latest", "a push to the restored server")
	}
}

// A hook is a progress.Reporter that runs a function when a phase begins.
type hook struct {
	phase string
	do    func()
}

func (h hook) Begin(name string, total int64, unit progress.Unit) progress.Phase {
	if name == h.phase {
		h.do()
	}
	return progress.Silent.Begin(name, total, unit)
}

// What a sweep sets aside between the snapshot and the copy is in the backup, and so is
// what a client replaces meanwhile because it was damaged.
func TestBackup_SweepDuringBackup(t *testing.T) {
	for _, how := range []string{"linked", "copied"} {
		t.Run(how, func(t *testing.T) {
			g := start(t)
			g.fill()
			authorization := "Basic " + g.imageToken(g.admin(victim))
			dir := filepath.Join(t.TempDir(), "backup")
			generation := g.createBackup(dir, backup.Options{Copies: how == "copied", Progress: hook{"blobs", sync.OnceFunc(func() { setAside(t, g.data) })}})
			if generation.Objects.Damaged > 0 {
				t.Fatalf("%+v", generation.Objects)
			}
			g.restored(dir, "")
			g.pull(authorization, "latest", layerContent)
		})
	}
}

func TestBackup_ObjectReplacedDuringBackup(t *testing.T) {
	g := start(t)
	g.fill()
	authorization := "Basic " + g.imageToken(g.admin(victim))
	removeFile(t, layerFile(t, g.data)) // damaged before the snapshot
	dir := filepath.Join(t.TempDir(), "backup")
	generation := g.createBackup(dir, backup.Options{Progress: hook{"blobs", sync.OnceFunc(func() { g.push(authorization, "app", layerContent) })}})
	if generation.Objects.Damaged > 0 {
		t.Fatalf("%+v", generation.Objects)
	}
	g.restored(dir, "")
	g.pull(authorization, "latest", layerContent)
}

// A damaged object does not keep the rest from being backed up and restored, and an
// earlier copy of it is not replaced.
func TestBackup_DamagedObject(t *testing.T) {
	g := start(t)
	g.fill()
	authorization := "Basic " + g.imageToken(g.admin(victim))
	before, after := filepath.Join(t.TempDir(), "before"), filepath.Join(t.TempDir(), "after")
	g.createBackup(before, backup.Options{Copies: true})
	if err := os.WriteFile(layerFile(t, g.data), []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if o := g.createBackup(before, backup.Options{Copies: true}).Objects; o.Damaged != 0 {
		t.Errorf("the backup has the object already: %+v", o)
	}
	generation := g.createBackup(after, backup.Options{})
	if generation.Objects.Damaged != 1 || len(generation.Damaged) != 1 || generation.Damaged[0].Digest != digestOf(layerContent) {
		t.Fatalf("%+v %+v", generation.Objects, generation.Damaged)
	}
	r, err := backup.Restore(t.Context(), after, "", filepath.Join(t.TempDir(), "restored"), nil)
	if err != nil || r.DamagedCount != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	g.restored(before, "")
	g.pull(authorization, "latest", layerContent)
}

// Generations share their objects, and what only the deleted ones had is deleted.
func TestBackup_Keep(t *testing.T) {
	g := start(t)
	g.fill()
	authorization := "Basic " + g.imageToken(g.admin(victim))
	dir := filepath.Join(t.TempDir(), "backup")
	blobs := func() int {
		files, err := filepath.Glob(filepath.Join(dir, "blobs", "??", "*"))
		if err != nil {
			t.Fatal(err)
		}
		return len(files)
	}
	g.createBackup(dir, backup.Options{})
	had := blobs()
	g.dropBlobs()
	g.push(authorization, "app", "another layer")
	second := g.createBackup(dir, backup.Options{Keep: 2})
	if n := blobs(); n != had+1 {
		t.Errorf("%d objects of two generations, want %d", n, had+1)
	}
	third := g.createBackup(dir, backup.Options{Keep: 1})
	list, err := backup.List(dir)
	if err != nil || len(list) != 1 || list[0].Name != third.Name || list[0].Name == second.Name {
		t.Fatalf("%v, %v", list, err)
	}
	if n := int64(blobs()); n != third.Objects.Count || n >= int64(had)+1 {
		t.Errorf("%d objects of one generation that names %d", n, third.Objects.Count)
	}
	g.restored(dir, "")
	g.pull(authorization, "latest", "another layer")
}

// dropBlobs removes the image of fill and sets its layer aside, as its deletion and the
// sweeps do.
func (g *fixture) dropBlobs() {
	g.t.Helper()
	g.stop()
	change(g.t, g.data,
		`DELETE FROM image_tag`, `DELETE FROM image_reference`, `DELETE FROM image_manifest`,
		`DELETE FROM image_blob_link WHERE digest = '`+digestOf(layerContent)+`'`, `DELETE FROM image_blob WHERE digest = '`+digestOf(layerContent)+`'`)
	setAside(g.t, g.data)
	g.serve()
}

// A folder that is in use, that is not a backup, or that is damaged is refused.
func TestBackup_Refused(t *testing.T) {
	g := start(t)
	g.fill()
	dir := filepath.Join(t.TempDir(), "backup")
	if _, err := backup.Create(t.Context(), g.source(), g.data, backup.Options{Now: time.Now}); err == nil {
		t.Error("the data folder was taken for a backup folder")
	}
	if _, err := backup.Restore(t.Context(), g.data, "", dir, nil); !errors.Is(err, backup.ErrNoBackup) {
		t.Errorf("err = %v, want ErrNoBackup", err)
	}
	busy := backup.Options{Now: time.Now, Progress: hook{"blobs", func() {
		if _, err := backup.Create(t.Context(), g.source(), dir, backup.Options{Now: time.Now}); !errors.Is(err, backup.ErrInUse) {
			t.Errorf("a second backup: %v, want ErrInUse", err)
		}
	}}}
	generation := g.createBackup(dir, busy)
	if _, err := backup.Restore(t.Context(), dir, "", g.data, nil); !errors.Is(err, backup.ErrNotEmpty) {
		t.Errorf("err = %v, want ErrNotEmpty", err)
	}
	database := filepath.Join(dir, "generations", generation.Name, "gatehouse.db")
	text, err := os.ReadFile(database)
	if err != nil {
		t.Fatal(err)
	}
	text[len(text)/2] ^= 1
	if err := os.WriteFile(database, text, 0o600); err != nil {
		t.Fatal(err)
	}
	target := filepath.Join(t.TempDir(), "restored")
	if _, err := backup.Restore(t.Context(), dir, "", target, nil); !errors.Is(err, backup.ErrDamaged) {
		t.Errorf("err = %v, want ErrDamaged", err)
	}
	if err := tryStart(t, target, nil); !errors.Is(err, app.ErrUnfinished) {
		t.Errorf("a server on a folder that is not complete: %v", err)
	}
}

// A backup that is killed while it writes its marker leaves a temporary file.
func TestBackup_KilledAtItsBeginning(t *testing.T) {
	g := start(t)
	dir := filepath.Join(t.TempDir(), "backup")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, ".gatehouse-backup.json.123.tmp"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	generation := g.createBackup(dir, backup.Options{Now: time.Now})
	// The same for the marker of a restore.
	target := filepath.Join(t.TempDir(), "restored")
	if err := os.Mkdir(target, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(target, "."+backup.UnfinishedFile+".123.tmp"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := backup.Restore(t.Context(), dir, generation.Name, target, nil); err != nil {
		t.Error(err)
	}
}

// If the database cannot get its name, the folder stays marked as unfinished.
func TestRestore_DatabaseNotInPlace(t *testing.T) {
	g := start(t)
	dir := filepath.Join(t.TempDir(), "backup")
	g.createBackup(dir, backup.Options{Now: time.Now})
	target := filepath.Join(t.TempDir(), "restored")
	obstacle := filepath.Join(target, "gatehouse.db")
	obstruct := hook{"blobs", func() {
		if err := os.MkdirAll(filepath.Join(obstacle, "file"), 0o700); err != nil {
			t.Error(err)
		}
	}}
	if _, err := backup.Restore(t.Context(), dir, "", target, obstruct); err == nil {
		t.Error("a folder has the name of the database, and there is no error")
	}
	if err := os.RemoveAll(obstacle); err != nil {
		t.Fatal(err)
	}
	if err := tryStart(t, target, nil); !errors.Is(err, app.ErrUnfinished) {
		t.Errorf("a server on the folder: %v", err)
	}
	if _, err := backup.Restore(t.Context(), dir, "", target, nil); err != nil {
		t.Errorf("the restore cannot be finished: %v", err)
	}
}

// isUnfinished reports whether a restore to the folder has begun and not ended.
func isUnfinished(target string) bool {
	_, err := os.Stat(filepath.Join(target, backup.UnfinishedFile))
	return err == nil
}

// killedEnv tells the test process what to do until it is killed.
const killedEnv = "GATEHOUSE_TEST_KILLED_BACKUP"

// A job is the work of a process that is killed.
type killedJob struct {
	Source  backup.Source
	Dir     string
	Restore string // the target; "" makes a backup
}

// A backup and a restore that are killed at any point go on where they were, and what
// they leave is never taken for complete.
func TestBackup_Killed(t *testing.T) {
	if text := os.Getenv(killedEnv); text != "" {
		runKilledJob(t, text)
		return
	}
	g := start(t)
	g.fill()
	authorization := "Basic " + g.imageToken(g.admin(victim))
	const layers = 60
	for i := range layers {
		g.push(authorization, "app", fmt.Sprintf("layer %d %s", i, strings.Repeat("x", 1000*i)))
	}
	g.stop()
	dir, target := filepath.Join(t.TempDir(), "backup"), filepath.Join(t.TempDir(), "restored")
	killed := untilDone(t, "TestBackup_Killed", killedEnv, killedJob{Source: g.source(), Dir: dir}, func() bool {
		list, err := backup.List(dir)
		if err != nil && !errors.Is(err, backup.ErrNoBackup) {
			t.Errorf("after a kill: %v, %v", list, err)
		}
		return len(list) > 0
	})
	killed += untilDone(t, "TestBackup_Killed", killedEnv, killedJob{Dir: dir, Restore: target}, func() bool {
		if _, err := os.Stat(filepath.Join(target, "gatehouse.db")); errors.Is(err, fs.ErrNotExist) && !isUnfinished(target) {
			return false // killed before the marker was written
		}
		if !isUnfinished(target) {
			return true
		}
		if err := tryStart(t, target, nil); !errors.Is(err, app.ErrUnfinished) {
			t.Errorf("a server on what a killed restore left: %v", err)
		}
		return false
	})
	if killed == 0 {
		t.Error("no process was killed")
	}
	t.Logf("%d processes were killed", killed)
	if found, _ := verified(t, target, "", false); len(found) > 0 {
		t.Errorf("the restored installation: %v", found)
	}
	g.data = target
	g.serve()
	for i := range layers {
		g.pull(authorization, "latest", fmt.Sprintf("layer %d %s", i, strings.Repeat("x", 1000*i)))
	}
}

func runKilledJob(t *testing.T, text string) {
	var job killedJob
	if err := json.Unmarshal([]byte(text), &job); err != nil {
		t.Fatal(err)
	}
	var err error
	if job.Restore != "" {
		_, err = backup.Restore(context.Background(), job.Dir, "", job.Restore, nil)
	} else {
		_, err = backup.Create(context.Background(), job.Source, job.Dir, backup.Options{Now: time.Now, Copies: true})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// untilDone runs a test in processes that find job in the environment variable env, and
// that are killed later and later, until one ends by itself, or until check, which runs
// after each kill, finds that one had done everything. It returns how many were killed.
func untilDone(t *testing.T, test, env string, job any, check func() (done bool)) (killed int) {
	t.Helper()
	text, err := json.Marshal(job)
	if err != nil {
		t.Fatal(err)
	}
	for limit := 20 * time.Millisecond; ; limit += limit / 6 {
		child := exec.Command(os.Args[0], "-test.run=^"+test+"$")
		child.Env = append(os.Environ(), env+"="+string(text))
		var out buffer
		child.Stdout, child.Stderr = &out, &out
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		timer := time.AfterFunc(limit/2+rand.N(limit), func() { _ = child.Process.Kill() })
		err := child.Wait()
		timer.Stop()
		if err == nil {
			return killed
		}
		if exit := new(exec.ExitError); !errors.As(err, &exit) || exit.ExitCode() >= 0 {
			t.Fatalf("the process failed by itself: %v: %s", err, out.String())
		}
		killed++
		if check() {
			return killed
		}
	}
}

// Cloned or copied, the objects of a restored folder are its own: the backup does not
// change with it.
func TestRestore_OwnObjects(t *testing.T) {
	g := start(t)
	g.fill()
	dir, target := filepath.Join(t.TempDir(), "backup"), filepath.Join(t.TempDir(), "restored")
	g.createBackup(dir, backup.Options{})
	if _, err := backup.Restore(t.Context(), dir, "", target, nil); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(layerFile(t, target), []byte("changed"), 0o600); err != nil {
		t.Fatal(err)
	}
	view, err := local.OpenView(filepath.Join(dir, "blobs"))
	if err != nil {
		t.Fatal(err)
	}
	defer view.Close()
	if o, err := view.Open(t.Context(), filepath.Base(layerFile(t, g.data))); err != nil || o.Size() != int64(len(layerContent)) {
		t.Errorf("the object of the backup: %v", err)
	} else {
		o.Close()
	}
}

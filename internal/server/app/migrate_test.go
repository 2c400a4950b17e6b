package app_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"

	"github.com/gatehouse-registry/gatehouse/internal/server/app"
	"github.com/gatehouse-registry/gatehouse/internal/server/config"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/db/sqlite"
	"github.com/gatehouse-registry/gatehouse/internal/server/migrate"
)

// localStores is the configuration of SQLite and files in a folder.
func localStores(data string) *config.Config {
	c := config.Default()
	c.Data = data
	return c
}

// contents returns what an installation on SQLite and files holds: every row of every
// table that is not of running servers, and every blob.
func contents(t *testing.T, data string) map[string]string {
	t.Helper()
	d, err := sqlite.OpenReadOnly(t.Context(), filepath.Join(data, "gatehouse.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	out := map[string]string{}
	tables, err := db.All(t.Context(), d, db.Scalar[string], `SELECT name FROM sqlite_master WHERE type = 'table'
		AND name NOT IN ('change_feed', 'change_reader', 'keyring_server', 'source_lease', 'image_upload', 'db_position', 'migration')`)
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range tables {
		columns, err := db.All(t.Context(), d, db.Scalar[string], `SELECT name FROM pragma_table_info($1)`, table)
		if err != nil {
			t.Fatal(err)
		}
		for i, c := range columns {
			columns[i] = "quote(" + c + ")"
		}
		rows, err := db.All(t.Context(), d, db.Scalar[string], `SELECT `+strings.Join(columns, ` || ',' || `)+` FROM `+table)
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(rows)
		if len(rows) > 0 {
			out[table] = strings.Join(rows, "\n")
		}
	}
	blobs, err := filepath.Glob(filepath.Join(data, "blobs", "??", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range blobs {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		out["blob "+filepath.Base(file)] = string(text)
	}
	return out
}

func wantSameContents(t *testing.T, got, want map[string]string) {
	t.Helper()
	for name := range want {
		if got[name] != want[name] {
			t.Errorf("%s: %.200q, want %.200q", name, got[name], want[name])
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s is new: %.200q", name, got[name])
		}
	}
}

func mustMigrate(t *testing.T, from, to *config.Config) *migrate.Result {
	t.Helper()
	r, err := app.Migrate(t.Context(), from, to, app.MigrateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// fillRandomly pushes images, publishes packages and creates identities.
func (g *fixture) fillRandomly(random *rand.Rand) {
	g.t.Helper()
	g.fill()
	images := "Basic " + g.imageToken(g.admin(victim))
	for i := range 5 + random.IntN(20) {
		layer := make([]byte, random.IntN(5000))
		for j := range layer {
			layer[j] = byte(random.IntN(256))
		}
		g.push(images, "app", string(layer)+fmt.Sprint(i))
	}
	for i := range 1 + random.IntN(5) {
		for j := range 1 + random.IntN(4) {
			g.publish(fmt.Sprintf("package-%d", i), fmt.Sprintf("1.%d.0", j))
		}
	}
	for i := range random.IntN(5) {
		g.user(stranger, fmt.Sprintf("user-%d", i), allow("s3:Get*", "*"))
	}
	must(ecr.NewFromConfig(g.admin(stranger)).CreateRepository(g.t.Context(), &ecr.CreateRepositoryInput{RepositoryName: aws.String("other")}))(g.t)
}

// unfinishedUpload begins an upload that the client does not finish.
func (g *fixture) unfinishedUpload() {
	g.t.Helper()
	r := g.request(http.MethodPost, "/v2/app/blobs/uploads/", "")
	r.Header.Set("Authorization", "Basic "+g.imageToken(g.admin(victim)))
	if status, body := g.send(r); status != http.StatusAccepted {
		g.t.Fatalf("upload: %d %s", status, body)
	}
}

// cachedAnswers are what upstreams said: about a package, and that there is none; and the
// lease of a server that asks.
var cachedAnswers = []string{
	`INSERT INTO source_document (registry, package, validator, revision, checked, size, body) VALUES ('public:npmjs', 'npm//left-pad', '{"etag":"x"}', 'r1', 7, 3, x'0001ff')`,
	`INSERT INTO source_document (registry, package, validator, revision, checked, size, body) VALUES ('public:npmjs', 'npm//none', '', '', 8, 0, NULL)`,
	`INSERT INTO source_lease (name, holder, until) VALUES ('public:npmjs/npm//left-pad', 'a-server', 9)`,
}

// What was migrated there and back is the same, and a server serves it on each side.
func TestMigrate_ThereAndBack(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			g := start(t)
			g.fillRandomly(rand.New(rand.NewPCG(seed, 0)))
			g.unfinishedUpload()
			g.stop()
			change(t, g.data, cachedAnswers...)
			before := contents(t, g.data)
			there, back := filepath.Join(t.TempDir(), "there"), filepath.Join(t.TempDir(), "back")
			r := mustMigrate(t, localStores(g.data), localStores(there))
			if r.Rows == 0 || r.Objects == 0 || r.Tables < 10 {
				t.Errorf("%+v", r)
			}
			if found, _ := verified(t, there, "", false); len(found) > 0 {
				t.Errorf("verify: %v", found)
			}
			mustMigrate(t, localStores(there), localStores(back))
			after := contents(t, g.data)
			wantSameContents(t, contents(t, back), after)
			delete(after, "db_installation") // the id, which the migration makes if there is none
			wantSameContents(t, after, before)
			g.data = back
			g.serve()
			g.pull("Basic "+g.imageToken(g.admin(victim)), "signed", layerContent)
		})
	}
}

// A migration that was killed after its end can be repeated: it changes nothing. It is
// refused when one of the sides has changed.
func TestMigrate_Again(t *testing.T) {
	g := start(t)
	g.fill()
	g.stop()
	from, to := localStores(g.data), localStores(filepath.Join(t.TempDir(), "target"))
	first, again := mustMigrate(t, from, to), mustMigrate(t, from, to)
	if !reflect.DeepEqual(first, again) {
		t.Errorf("the second run: %+v, want %+v", again, first)
	}
	change(t, to.Data, `UPDATE image_manifest SET pulled = 1`)
	before := contents(t, to.Data)
	if _, err := app.Migrate(t.Context(), from, to, app.MigrateOptions{}); !errors.Is(err, migrate.ErrNotEmpty) || !strings.Contains(err.Error(), "image_manifest") {
		t.Errorf("to a target that has changed: %v", err)
	}
	wantSameContents(t, contents(t, to.Data), before)
}

// The keyring that moves is the one that the setting names, and not a former one in the
// data folder. A backup has the same.
func TestMigrate_KeyringSetting(t *testing.T) {
	g := start(t)
	g.fill()
	authorization := "Basic " + g.imageToken(g.admin(victim))
	g.stop()
	mounted := filepath.Join(t.TempDir(), "mounted.json")
	if err := os.Rename(g.file("keyring.json"), mounted); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(g.file("keyring.json"), []byte("former"), 0o600); err != nil {
		t.Fatal(err)
	}
	from, to := localStores(g.data), localStores(filepath.Join(t.TempDir(), "target"))
	from.Keyring = "file://" + mounted
	folder := must(app.OpenDataFolder(g.data))(t)
	if got := folder.KeyringFile(from); got != mounted {
		t.Errorf("the keyring of a backup is %s, want %s", got, mounted)
	}
	if err := folder.Close(); err != nil {
		t.Fatal(err)
	}
	mustMigrate(t, from, to)
	g.data = to.Data
	g.serve()
	g.pull(authorization, "signed", layerContent)
}

// A target that is in use, or that another installation is migrated to, is refused, and
// nothing in it changes.
func TestMigrate_TargetInUse(t *testing.T) {
	g, other := start(t), start(t)
	g.fill()
	other.createRepository("theirs")
	if _, err := app.Migrate(t.Context(), localStores(g.data), localStores(t.TempDir()), app.MigrateOptions{}); !errors.Is(err, app.ErrDataInUse) {
		t.Errorf("from a running server: %v", err)
	}
	g.stop()
	if _, err := app.Migrate(t.Context(), localStores(g.data), localStores(other.data), app.MigrateOptions{}); !errors.Is(err, app.ErrDataInUse) {
		t.Errorf("to a running server: %v", err)
	}
	other.stop()
	before := contents(t, other.data)
	if _, err := app.Migrate(t.Context(), localStores(g.data), localStores(other.data), app.MigrateOptions{}); !errors.Is(err, migrate.ErrNotEmpty) {
		t.Errorf("to another installation: %v", err)
	}
	wantSameContents(t, contents(t, other.data), before)
	if _, err := app.Migrate(t.Context(), localStores(g.data), localStores(g.data), app.MigrateOptions{}); !errors.Is(err, app.ErrSameStores) {
		t.Errorf("to itself: %v", err)
	}
	blobs := filepath.Join(t.TempDir(), "data")
	if err := os.CopyFS(filepath.Join(blobs, "blobs"), os.DirFS(other.file("blobs"))); err != nil {
		t.Fatal(err)
	}
	orphan(t, blobs)
	if _, err := app.Migrate(t.Context(), localStores(g.data), localStores(blobs), app.MigrateOptions{}); !errors.Is(err, migrate.ErrNotEmpty) {
		t.Errorf("to blobs of others: %v", err)
	}
}

// Damaged blobs are named. They end the migration unless they are to be left out.
func TestMigrate_DamagedBlob(t *testing.T) {
	g := start(t)
	g.fill()
	g.stop()
	layer(layerContent[1:]+"x")(t, g.data)
	target := filepath.Join(t.TempDir(), "target")
	_, err := app.Migrate(t.Context(), localStores(g.data), localStores(target), app.MigrateOptions{})
	if !errors.Is(err, migrate.ErrDamaged) || !strings.Contains(err.Error(), "repository/app") {
		t.Fatalf("err = %v, want ErrDamaged with the repository", err)
	}
	if err := tryStart(t, target, nil); !errors.Is(err, migrate.ErrUnfinished) {
		t.Errorf("a server on what is not finished: %v", err)
	}
	r, err := app.Migrate(t.Context(), localStores(g.data), localStores(target), app.MigrateOptions{Damaged: migrate.LeaveOut})
	if err != nil || r.DamagedCount != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	if found, _ := verified(t, target, "", false); !slices.Equal(found, []string{"missing-object"}) {
		t.Errorf("verify: %v", found)
	}
}

// A source that changes meanwhile is noticed, and the next run copies it anew.
func TestMigrate_SourceChanged(t *testing.T) {
	g := start(t)
	g.fill()
	g.stop()
	target := filepath.Join(t.TempDir(), "target")
	_, err := app.Migrate(t.Context(), localStores(g.data), localStores(target), app.MigrateOptions{Progress: hook{"blobs", func() {
		change(t, g.data, `UPDATE image_manifest SET pulled = 1`)
	}}})
	if !errors.Is(err, migrate.ErrChanged) || !strings.Contains(err.Error(), "image_manifest") {
		t.Fatalf("err = %v, want ErrChanged", err)
	}
	mustMigrate(t, localStores(g.data), localStores(target))
	wantSameContents(t, contents(t, target), contents(t, g.data))
}

const migratedEnv = "GATEHOUSE_TEST_KILLED_MIGRATION"

// A migration that is killed at any point goes on, and what it leaves is refused.
func TestMigrate_Killed(t *testing.T) {
	if text := os.Getenv(migratedEnv); text != "" {
		var folders [2]string
		if err := json.Unmarshal([]byte(text), &folders); err != nil {
			t.Fatal(err)
		}
		if _, err := app.Migrate(context.Background(), localStores(folders[0]), localStores(folders[1]), app.MigrateOptions{}); err != nil {
			t.Fatal(err)
		}
		return
	}
	g := start(t)
	g.fillRandomly(rand.New(rand.NewPCG(1, 1)))
	g.stop()
	target, temporary := filepath.Join(t.TempDir(), "target"), t.TempDir()
	t.Setenv("TMPDIR", temporary)
	killed := untilDone(t, "TestMigrate_Killed", migratedEnv, [2]string{g.data, target}, func() (done bool) {
		if _, err := os.Stat(filepath.Join(target, "gatehouse.db")); err != nil {
			return false
		}
		stores, err := app.OpenStores(t.Context(), localStores(target))
		if err != nil {
			return false
		}
		stores.Close()
		return true // it was killed after it had finished: everything must be there
	})
	if killed == 0 {
		t.Error("no process was killed")
	}
	t.Logf("%d processes were killed", killed)
	for _, pattern := range []string{filepath.Join(temporary, "gatehouse-*"), filepath.Join(target, "migrate-*")} {
		if left, err := filepath.Glob(pattern); len(left) > 0 || err != nil {
			t.Errorf("killed migrations left %v, %v", left, err)
		}
	}
	wantSameContents(t, contents(t, target), contents(t, g.data))
}

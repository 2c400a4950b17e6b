package app_test

import (
	"database/sql"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/opencontainers/go-digest"

	"github.com/gatehouse-registry/gatehouse/internal/server/app"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/local"
	"github.com/gatehouse-registry/gatehouse/internal/server/config"
	"github.com/gatehouse-registry/gatehouse/internal/server/consistency"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/db/sqlite"
	"github.com/gatehouse-registry/gatehouse/internal/server/verify"
)

// layerContent is the content of the layer that fill pushes.
const layerContent = "a layer that is damaged on purpose"

// fill gives the server one of everything that verify checks.
func (g *fixture) fill() {
	g.t.Helper()
	ctx, admin := g.t.Context(), g.admin(victim)
	g.repositories(victim, "first")
	images := "Basic " + g.imageToken(admin)
	g.push(images, "app", layerContent)
	subject := g.manifestDigest(images)
	config := digest.FromString("{}")
	signature := `{"schemaVersion":2,"mediaType":"` + manifestType + `","artifactType":"application/signature","config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"` + config.String() +
		`","size":2},"layers":[],"subject":{"mediaType":"` + manifestType + `","digest":"` + subject.String() + `","size":1},"annotations":{"by":"me"}}`
	index := `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"mediaType":"` + manifestType + `","digest":"` + subject.String() + `","size":1}]}`
	g.putManifest(images, "signed", manifestType, signature)
	g.putManifest(images, "index", "application/vnd.oci.image.index.v1+json", index)
	ca := codeartifact.NewFromConfig(admin)
	must(ca.CreateRepository(ctx, repositoryOf("first", "all", "lib")))(g.t)
	g.publish("left", "1.0.0")
	must(ecr.NewFromConfig(admin).SetRepositoryPolicy(ctx, &ecr.SetRepositoryPolicyInput{RepositoryName: aws.String("app"), PolicyText: aws.String(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"ecr:BatchGetImage"}]}`)}))(g.t)
	g.role("release", allow("ecr:*", "*"))
	g.user(victim, "alice", allow("ecr:*", "*"))
}

func (g *fixture) putManifest(authorization, tag, mediaType, manifest string) {
	g.t.Helper()
	r := g.request(http.MethodPut, "/v2/app/manifests/"+tag, manifest)
	r.Header.Set("Authorization", authorization)
	r.Header.Set("Content-Type", mediaType)
	if status, body := g.send(r); status != http.StatusCreated {
		g.t.Fatalf("manifest: %d %s", status, body)
	}
}

// manifestDigest is the digest of app:latest.
func (g *fixture) manifestDigest(authorization string) digest.Digest {
	g.t.Helper()
	r := g.request(http.MethodGet, "/v2/app/manifests/latest", "")
	r.Header.Set("Authorization", authorization)
	r.Header.Set("Accept", manifestType)
	status, body := g.send(r)
	if status != http.StatusOK {
		g.t.Fatalf("manifest: %d %s", status, body)
	}
	return digest.FromString(body)
}

// publish publishes a version of an npm package to the repository lib.
func (g *fixture) publish(name, version string) {
	g.t.Helper()
	r := g.request(http.MethodPut, strings.TrimSuffix(libPath, "-/ping")+name,
		`{"name":"`+name+`","versions":{"`+version+`":{"name":"`+name+`","version":"`+version+`"}},"_attachments":{"`+name+`-`+version+`.tgz":{"data":"eA=="}}}`)
	r.Header.Set("Authorization", "Bearer "+g.packageToken(g.admin(victim), "first"))
	if status, body := g.send(r); status != http.StatusCreated {
		g.t.Fatalf("publish: %d %s", status, body)
	}
}

func repositoryOf(domain, name string, upstreams ...string) *codeartifact.CreateRepositoryInput {
	in := repositoryWithUpstream(name, upstreams...)
	in.Domain = &domain
	return in
}

// verified verifies a data folder, and repairs it if repair is true.
func verified(t *testing.T, data, backupOf string, repair bool) (found, left []string) {
	t.Helper()
	c := config.Default()
	c.Data = data
	open := app.OpenStores
	if repair {
		open = app.OpenStoresForRepair
	}
	stores, err := open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer stores.Close()
	v := stores.Verification()
	if backupOf != "" {
		blobs, err := local.OpenView(filepath.Join(backupOf, "blobs"))
		if err != nil {
			t.Fatal(err)
		}
		defer blobs.Close()
		v.Backup = blobs
	}
	var findings []consistency.Finding
	if _, err := verify.Run(t.Context(), v, func(f consistency.Finding) { findings = append(findings, f) }); err != nil {
		t.Fatal(err)
	}
	var repaired map[int]bool
	if repair {
		if repaired, err = verify.Repair(t.Context(), v.DB, findings); err != nil {
			t.Error(err)
		}
	}
	for i, f := range findings {
		if f.Subject == "" || f.Message == "" || f.Advice == "" {
			t.Errorf("%s: the finding does not say what it is about, what is wrong and what to do: %+v", f.Kind, f)
		}
		found = append(found, f.Kind)
		if !repaired[i] {
			left = append(left, f.Kind)
		}
	}
	slices.Sort(found)
	return slices.Compact(found), left
}

// change runs statements on the database of a stopped server, without its foreign keys.
func change(t *testing.T, data string, statements ...string) {
	t.Helper()
	d, err := sql.Open("sqlite", filepath.Join(data, "gatehouse.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for _, s := range statements {
		res, err := d.Exec(s)
		if err != nil {
			t.Fatalf("%s: %v", s, err)
		}
		if n, _ := res.RowsAffected(); n == 0 && !strings.HasPrefix(s, "PRAGMA") {
			t.Fatalf("%s changed nothing", s)
		}
	}
}

// layerFile is the file of the layer in a data folder.
func layerFile(t *testing.T, data string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(data, "blobs", "*", "image-*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if text, err := os.ReadFile(file); err == nil && string(text) == layerContent {
			return file
		}
	}
	t.Fatal("no file has the layer")
	return ""
}

// A damage is what a disk, a person or a partial restore does to an installation.
type damage struct {
	do   func(t *testing.T, data string)
	want string // the kind of the finding
	// repaired is true if verify --repair promises to repair it, with or without a backup.
	repaired bool
}

func rows(statements ...string) func(*testing.T, string) {
	return func(t *testing.T, data string) { change(t, data, statements...) }
}

func layer(content string) func(*testing.T, string) {
	return func(t *testing.T, data string) {
		if err := os.WriteFile(layerFile(t, data), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// A version that a retention rule has removed, its run, and its asset.
const (
	removedRun = `INSERT INTO pkg_retention_run (id, repository, state, started_by, created, finished, until, versions, removed, restored, message)
		SELECT 'r', repository, 'done', '', 1, 1, 9, 1, 1, 0, '' FROM pkg_package`
	removedVersion = `INSERT INTO pkg_aside (package, version_key, version, revision, status, published, arrived, entry_point, edited, downloads, used, run, rule, reason, unused, since, until)
		SELECT package, '0.9.0', '0.9.0', 'x', 'Published', 1, 1, entry_point, 0, 0, 0, 'r', 'old', 'old', 0, 1, 9 FROM pkg_version`
	removedAsset = `INSERT INTO pkg_aside_asset (package, version_key, name, beside, domain, sha256, published) SELECT package, '0.9.0', name, '', domain, sha256, 1 FROM pkg_asset`
)

// What upstreams said is not part of what verify checks: it is asked for again.
func TestVerify_CachedAnswers(t *testing.T) {
	g := start(t)
	g.fill()
	g.stop()
	change(t, g.data, cachedAnswers...)
	change(t, g.data, `UPDATE source_document SET body = x'00' WHERE body IS NOT NULL`)
	if found, _ := verified(t, g.data, "", false); len(found) > 0 {
		t.Errorf("verify: %v", found)
	}
	g.serve() // also with a damaged answer
}

var damages = map[string]damage{
	"flipped bit":    {layer("b" + layerContent[1:]), "damaged-object", true},
	"truncated":      {layer(layerContent[:5]), "damaged-object", true},
	"longer":         {layer(layerContent + "x"), "damaged-object", true},
	"missing":        {func(t *testing.T, data string) { removeFile(t, layerFile(t, data)) }, "missing-object", true},
	"set aside":      {setAside, "object-aside", true},
	"orphan":         {orphan, "orphan", false},
	"unused content": {rows(`DELETE FROM pkg_asset`), "unused-content", true},
	"dangling tag":   {rows(`UPDATE image_tag SET digest = 'sha256:` + strings.Repeat("0", 64) + `' WHERE tag = 'latest'`), "dangling-tag", false},
	"lost link":      {rows(`DELETE FROM image_blob_link WHERE digest = '` + digest.FromString(layerContent).String() + `'`), "missing-reference", false},
	"lost blob":      {rows(`DELETE FROM image_blob WHERE digest = '` + digest.FromString(layerContent).String() + `'`), "dangling-link", false},
	"wrong link":     {rows(`UPDATE image_blob_link SET blob = (SELECT id FROM image_blob WHERE size = 2)`), "wrong-link", false},
	"lost manifest":  {rows(`DELETE FROM image_manifest WHERE size > 2`), "dangling-reference", false},
	"lost reference": {rows(`DELETE FROM image_reference WHERE digest = '` + digest.FromString(layerContent).String() + `'`), "outdated-index", true},
	"subject":        {rows(`UPDATE image_manifest SET subject = '' WHERE subject <> ''`), "outdated-index", true},
	"media type":     {rows(`UPDATE image_manifest SET media_type = 'application/x' WHERE subject <> ''`), "outdated-index", true},
	"annotations":    {rows(`UPDATE image_manifest SET annotations = '{"by":' WHERE subject <> ''`), "outdated-index", true},
	"scan": {rows(`INSERT INTO image_scan (repository, digest, account, region, state, reason, requested, completed, version, counts, seen, inventory)
		SELECT repository, digest, '000000000001', 'us-east-1', 'complete', '', 1, 1, 1, '{}', NULL, x'1f8b00' FROM image_manifest LIMIT 1`), "bad-scan", true},
	"manifest":        {rows(`UPDATE image_manifest SET body = replace(body, 'me', 'us')`), "damaged-manifest", false},
	"image settings":  {rows(`UPDATE image_repository SET settings = '{'`), "bad-repository-settings", false},
	"image policy":    {rows(`UPDATE image_repository SET policy = '{"Version":' WHERE policy <> ''`), "bad-policy", false},
	"lost repository": {rows(`DELETE FROM image_repository`), "lost-repository", false},
	"upstream":        {rows(`UPDATE pkg_repository SET upstreams = '["nowhere"]' WHERE name = 'all'`), "dangling-upstream", false},
	"upstreams":       {rows(`UPDATE pkg_repository SET upstreams = '[' WHERE name = 'all'`), "bad-upstreams", false},
	"domain tags":     {rows(`UPDATE pkg_domain SET tags = 'no'`), "bad-tags", false},
	"domain policy":   {rows(`UPDATE pkg_domain SET policy = '{}'`), "bad-policy", false},
	"lost domain":     {rows(`DELETE FROM pkg_domain`), "lost-domain", false},
	"lost package":    {rows(`DELETE FROM pkg_package`), "lost-package", false},
	"lost version":    {rows(`DELETE FROM pkg_version`), "lost-version", false},
	"package name":    {rows(`UPDATE pkg_package SET name_key = 'right'`), "bad-package", false},
	"package tags":    {rows(`UPDATE pkg_package SET tags = '{'`), "bad-package", false},
	"origin":          {rows(`UPDATE pkg_package SET publish = 'MAYBE'`), "bad-package", false},
	"version status":  {rows(`UPDATE pkg_version SET status = 'Lost'`), "bad-version", false},
	"version key":     {rows(`PRAGMA foreign_keys = 0`, `UPDATE pkg_version SET version_key = '1'`, `UPDATE pkg_asset SET version_key = '1'`), "bad-version", false},
	"version data":    {rows(`UPDATE pkg_version SET metadata = '{'`), "bad-version", false},
	"version order":   {rows(`UPDATE pkg_version SET changed = 99`), "bad-version", false},
	"lost content":    {rows(`DELETE FROM pkg_content`), "dangling-asset", false},
	"lost asset":      {rows(`UPDATE pkg_asset SET beside = 'gone'`), "bad-asset", false},
	"removed run":     {rows(removedVersion, removedAsset), "lost-run", false},
	"removed package": {rows(removedRun, removedVersion, `UPDATE pkg_aside SET package = 'gone'`), "lost-package", false},
	"removed version": {rows(removedAsset), "lost-version", false},
	"removed status":  {rows(removedRun, removedVersion, removedAsset, `UPDATE pkg_aside SET status = 'Lost'`), "bad-version", false},
	"removed content": {rows(removedRun, removedVersion, removedAsset, `UPDATE pkg_aside_asset SET sha256 = 'gone'`), "dangling-asset", false},
	"user":            {rows(`UPDATE iam_entity SET body = '{' WHERE kind = 'User'`), "bad-entity", false},
	"kind":            {rows(`UPDATE iam_entity SET kind = 'Robot' WHERE kind = 'Role'`), "bad-entity", false},
	"account":         {rows(`DELETE FROM iam_entity WHERE kind = 'Account'`), "lost-account", false},
	"user policy":     {rows(`UPDATE iam_entity SET body = replace(body, 'Allow', 'Perhaps') WHERE kind = 'User' AND body LIKE '%Allow%'`), "bad-policy", false},
	"trust policy":    {rows(`UPDATE iam_entity SET body = replace(body, 'sts:AssumeRole', 'x') WHERE kind = 'Role'`), "bad-policy", false},
	"keyring":         {rows(`UPDATE iam_entity SET body = json_set(body, '$.keys[0].keyring_id', 'ffffffff') WHERE kind = 'User' AND body LIKE '%keyring_id%'`), "foreign-keyring", false},
	"attachment":      {rows(`UPDATE iam_entity SET body = json_set(body, '$.attached', json('["arn:aws:iam::aws:policy/None"]')) WHERE kind = 'User'`), "dangling-attachment", false},
	"boundary":        {rows(`UPDATE iam_entity SET body = json_set(body, '$.boundary', 'arn:aws:iam::aws:policy/None') WHERE kind = 'User'`), "dangling-boundary", false},
	"membership":      {rows(`UPDATE iam_entity SET body = json_set(body, '$.groups', json('["AGPANONE"]')) WHERE kind = 'User'`), "dangling-membership", false},
	"shared key":      {rows(`UPDATE iam_entity SET body = json_set(body, '$.keys', json('[{"id":"AKIAX","keyring_id":"x","active":true,"created":"2026-01-01T00:00:00Z"}]')) WHERE kind = 'User'`), "duplicate-access-key", false},
	"session":         {rows(`INSERT INTO iam_session (id, expires, body) VALUES ('ASIAX', 9e15, '{')`), "bad-session", false},
	"session policy":  {rows(`INSERT INTO iam_session (id, expires, body) VALUES ('ASIAX', 9e15, '{"policy":"{}"}')`), "bad-session", false},
	"database page":   {damagePage, "damaged-database", false},
}

func removeFile(t *testing.T, file string) {
	t.Helper()
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
}

func setAside(t *testing.T, data string) {
	file := layerFile(t, data)
	day := filepath.Join(data, "blobs", "aside", time.Now().UTC().Format(time.DateOnly))
	if err := errors.Join(os.MkdirAll(day, 0o700), os.Rename(file, filepath.Join(day, filepath.Base(file)))); err != nil {
		t.Fatal(err)
	}
}

func orphan(t *testing.T, data string) {
	s, err := local.Open(filepath.Join(data, "blobs"), local.WithReserve(0))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	w, err := s.Create(t.Context(), "image-of-no-row")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// damagePage changes the last bytes of an index's page, where its entries are.
func damagePage(t *testing.T, data string) {
	file := filepath.Join(data, "gatehouse.db")
	d, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	var page, size int64
	err = errors.Join(
		d.QueryRow(`SELECT rootpage FROM sqlite_master WHERE name = 'image_tag_digest'`).Scan(&page),
		d.QueryRow(`PRAGMA page_size`).Scan(&size), d.Close())
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteAt([]byte("damaged"), page*size-16)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// Each kind of damage is found by its own kind, and what repair promises is clean after
// it. Without damage nothing is found.
func TestVerify_PlantedDamage(t *testing.T) {
	g := start(t)
	g.fill()
	if found, _ := verifiedBeside(t, g.data); len(found) > 0 {
		t.Errorf("beside the running server: %v", found)
	}
	g.stop()
	if found, _ := verified(t, g.data, "", false); len(found) > 0 {
		t.Fatalf("found %v before any damage", found)
	}
	change(t, g.data, removedRun, removedVersion, removedAsset)
	if found, _ := verified(t, g.data, "", false); len(found) > 0 {
		t.Fatalf("found %v with a version that a rule removed", found)
	}
	change(t, g.data, `DELETE FROM pkg_aside_asset`, `DELETE FROM pkg_aside`, `DELETE FROM pkg_retention_run`)
	removeFile(t, g.file("ballast")) // copied for each damage
	for name, d := range damages {
		t.Run(name, func(t *testing.T) {
			data := filepath.Join(t.TempDir(), "data")
			if err := errors.Join(os.CopyFS(data, os.DirFS(g.data)), os.Chmod(filepath.Join(data, "keyring.json"), 0o600)); err != nil {
				t.Fatal(err)
			}
			d.do(t, data)
			found, left := verified(t, data, g.data, false)
			if !slices.Contains(found, d.want) || len(left) == 0 {
				t.Fatalf("found %v, want %s", found, d.want)
			}
			_, left = verified(t, data, g.data, true)
			if slices.Contains(left, d.want) == d.repaired {
				t.Errorf("after the repair: %v", left)
			}
			if found, _ := verified(t, data, g.data, false); d.repaired && len(found) > 0 {
				t.Errorf("verify after the repair: %v", found)
			}
		})
	}
}

// verifiedBeside is verified while the server runs in this process: only SQLite opens
// the database.
func verifiedBeside(t *testing.T, data string) (found, left []string) {
	t.Helper()
	return verified(t, data, "", false)
}

// A repair needs a server that is stopped, and says so.
func TestVerify_RepairBesideServer(t *testing.T) {
	g := start(t)
	c := config.Default()
	c.Data = g.data
	if _, err := app.OpenStoresForRepair(t.Context(), c); !errors.Is(err, app.ErrDataInUse) {
		t.Errorf("err = %v, want ErrDataInUse", err)
	}
}

// A database of another version is not taken for a damaged one.
func TestVerify_OtherSchema(t *testing.T) {
	for name, c := range map[string]struct {
		statement string
		want      error
	}{
		"older": {`DELETE FROM migration WHERE name = 'images/002'`, app.ErrOldSchema},
		"newer": {`INSERT INTO migration (name) VALUES ('images/999')`, db.ErrNewerSchema},
	} {
		t.Run(name, func(t *testing.T) {
			g := start(t)
			g.stop()
			change(t, g.data, c.statement)
			cfg := config.Default()
			cfg.Data = g.data
			if _, err := app.OpenStores(t.Context(), cfg); !errors.Is(err, c.want) {
				t.Errorf("err = %v, want %v", err, c.want)
			}
		})
	}
}

// Schema has every migration that a server applies.
func TestSchema_IsComplete(t *testing.T) {
	g := start(t)
	g.stop()
	d, err := sqlite.OpenReadOnly(t.Context(), g.file("gatehouse.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	steps, err := d.SchemaSteps(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, m := range app.Schema() {
		want = append(want, m.Name)
	}
	steps = slices.DeleteFunc(steps, func(name string) bool { return strings.HasPrefix(name, "db/") })
	slices.Sort(want)
	if !slices.Equal(steps, want) {
		t.Errorf("a server has applied %v, Schema has %v: add the missing ones to it", steps, want)
	}
}

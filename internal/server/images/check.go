package images

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/gatehouse-registry/gatehouse/internal/policy"
	"github.com/gatehouse-registry/gatehouse/internal/server/consistency"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

const (
	// checkPage is the number of repositories or rows that [Check] reads at a time,
	// and maxSameKind how many findings of one broken foreign key it yields.
	checkPage   = 500
	maxSameKind = 1000
	// checkManifests is the number of manifests that it reads at a time, each up to
	// MaxManifest.
	checkManifests = 16
)

// Check yields what does not fit together in the tables of this package. See package
// consistency. It does not look at the blob store: see [Objects].
func Check(ctx context.Context, q db.Querier) consistency.Findings {
	return consistency.Check("images", func(r *consistency.Reporter) []func() error {
		c := &checker{Reporter: r, ctx: ctx, q: q}
		return []func() error{c.repositories, c.registries, c.foreignKeys, c.manifests, c.scans}
	})
}

type checker struct {
	*consistency.Reporter
	ctx context.Context
	q   db.Querier
}

// repositories checks the settings and policies.
func (c *checker) repositories() error {
	type row struct {
		row              int64
		id               RepositoryID
		settings, policy string
	}
	for last := int64(-1 << 63); ; {
		page, err := db.All(c.ctx, c.q, func(r db.Row) (v row, err error) {
			err = r.Scan(&v.row, &v.id.Account, &v.id.Region, &v.id.Name, &v.settings, &v.policy)
			return v, err
		}, `SELECT id, account, region, name, settings, policy FROM image_repository WHERE id > $1 ORDER BY id LIMIT $2`, last, checkPage)
		if err != nil {
			return err
		}
		for _, v := range page {
			if err := c.repository(v.id, v.settings, v.policy); err != nil {
				return err
			}
		}
		if len(page) < checkPage {
			return nil
		}
		last = page[len(page)-1].row
	}
}

func (c *checker) repository(id RepositoryID, settings, document string) error {
	if err := json.Unmarshal([]byte(settings), new(Settings)); err != nil {
		if err := c.Report(consistency.Finding{
			Severity: consistency.Problem, Kind: "bad-repository-settings", Subject: id.ARN(),
			Message: fmt.Sprintf("The settings of the repository cannot be read: %v. The server does not start with them.", err),
			Advice:  "Restore the database from a backup.",
		}); err != nil {
			return err
		}
	}
	if document == "" {
		return nil
	}
	if _, err := policy.Parse(document, policy.Resource); err != nil {
		return c.Report(consistency.Finding{
			Severity: consistency.Problem, Kind: "bad-policy", Subject: id.ARN(),
			Message: fmt.Sprintf("The repository policy cannot be read: %v. The server does not start with it.", err),
			Advice:  "Restore the database from a backup.",
		})
	}
	return nil
}

// registries checks what is set for registries as a whole.
func (c *checker) registries() error {
	type row struct {
		id               RegistryID
		settings, policy string
	}
	all, err := db.All(c.ctx, c.q, func(r db.Row) (v row, err error) {
		err = r.Scan(&v.id.Account, &v.id.Region, &v.settings, &v.policy)
		return v, err
	}, `SELECT `+registryColumns+` FROM image_registry ORDER BY account, region`)
	if err != nil {
		return err
	}
	for _, v := range all {
		err := checkRegistry(v.settings, v.policy)
		if err == nil {
			continue
		}
		if err := c.Report(consistency.Finding{
			Severity: consistency.Problem, Kind: "bad-registry", Subject: v.id.arn(),
			Message: fmt.Sprintf("The settings or the policy of the registry cannot be read: %v. The server does not start with them.", err),
			Advice:  "Restore the database from a backup.",
		}); err != nil {
			return err
		}
	}
	return nil
}

// checkRegistry reads what is stored about a registry.
func checkRegistry(settings, document string) error {
	var r registrySettings
	if err := json.Unmarshal([]byte(settings), &r); err != nil {
		return err
	}
	documents := []string{document}
	for _, t := range r.Templates {
		documents = append(documents, t.RepositoryPolicy)
	}
	for _, d := range documents {
		if d == "" {
			continue
		}
		if _, err := policy.Parse(d, policy.Resource); err != nil {
			return err
		}
	}
	return nil
}

// A brokenKey is a query for rows that refer to a row that does not exist. It selects
// the repository's account, region and name, empty if that is what is missing, and two
// texts for the message.
type brokenKey struct {
	kind, query, message, advice string
}

// The databases keep their foreign keys, so these find only what damage of a disk, or
// a change by hand, has left.
var brokenKeys = []brokenKey{
	{
		"dangling-tag", `SELECT COALESCE(r.account, ''), COALESCE(r.region, ''), COALESCE(r.name, ''), t.tag, t.digest FROM image_tag t LEFT JOIN image_repository r ON r.id = t.repository
			WHERE NOT EXISTS (SELECT 1 FROM image_manifest m WHERE m.repository = t.repository AND m.digest = t.digest) ORDER BY t.repository, t.tag LIMIT $1`,
		"The tag %s names the manifest %s, which does not exist.", "Push the image again with this tag.",
	},
	{
		"dangling-link", `SELECT COALESCE(r.account, ''), COALESCE(r.region, ''), COALESCE(r.name, ''), l.digest, '' FROM image_blob_link l LEFT JOIN image_repository r ON r.id = l.repository
			WHERE NOT EXISTS (SELECT 1 FROM image_blob b WHERE b.id = l.blob) ORDER BY l.repository, l.digest LIMIT $1`,
		"The layer %s%s is listed in the repository and not stored.", "Push the images that need it again.",
	},
	{
		"wrong-link", `SELECT r.account, r.region, r.name, l.digest, b.digest FROM image_blob_link l JOIN image_repository r ON r.id = l.repository JOIN image_blob b ON b.id = l.blob
			WHERE b.digest <> l.digest OR b.account <> r.account OR b.region <> r.region ORDER BY l.repository, l.digest LIMIT $1`,
		"The layer %s leads to the stored blob %s, or to that of another registry.", "Restore the database from a backup.",
	},
	{
		"dangling-reference", `SELECT COALESCE(r.account, ''), COALESCE(r.region, ''), COALESCE(r.name, ''), f.manifest, f.digest FROM image_reference f LEFT JOIN image_repository r ON r.id = f.repository
			WHERE NOT EXISTS (SELECT 1 FROM image_manifest m WHERE m.repository = f.repository AND m.digest = f.manifest) ORDER BY f.repository, f.manifest LIMIT $1`,
		"The manifest %s, which does not exist, is recorded to need %s.", "Restore the database from a backup.",
	},
	{
		"lost-repository", `SELECT '', '', '', m.digest, '' FROM image_manifest m
			WHERE NOT EXISTS (SELECT 1 FROM image_repository r WHERE r.id = m.repository) ORDER BY m.repository, m.digest LIMIT $1`,
		"The manifest %s%s is in a repository that does not exist.", "Restore the database from a backup.",
	},
}

// foreignKeys looks for rows that refer to rows that do not exist.
func (c *checker) foreignKeys() error {
	type row struct {
		id   RepositoryID
		a, b string
	}
	for _, k := range brokenKeys {
		found, err := db.All(c.ctx, c.q, func(r db.Row) (v row, err error) {
			err = r.Scan(&v.id.Account, &v.id.Region, &v.id.Name, &v.a, &v.b)
			return v, err
		}, k.query, maxSameKind)
		if err != nil {
			return err
		}
		for _, v := range found {
			subject := "a repository that does not exist"
			if v.id.Name != "" {
				subject = v.id.ARN()
			}
			if err := c.Report(consistency.Finding{
				Severity: consistency.Problem, Kind: k.kind, Subject: subject,
				Message: fmt.Sprintf(k.message, v.a, v.b), Advice: k.advice,
			}); err != nil {
				return err
			}
		}
	}
	return nil
}

// A storedManifest is a row of image_manifest with the name of its repository.
type storedManifest struct {
	key                              digestKey
	id                               RepositoryID
	mediaType, artifactType, subject string
	annotations                      string
	size                             int64
	body                             []byte
}

// manifests checks every manifest: its digest, and that what is recorded about it is
// what it says.
func (c *checker) manifests() error {
	for last := (digestKey{repository: -1 << 63}); ; {
		page, err := db.All(c.ctx, c.q, scanStoredManifest, `SELECT m.repository, m.digest, r.account, r.region, r.name, m.media_type, m.artifact_type, m.subject, m.annotations, m.size, m.body
			FROM image_manifest m JOIN image_repository r ON r.id = m.repository
			WHERE (m.repository, m.digest) > ($1, $2) ORDER BY m.repository, m.digest LIMIT $3`, last.repository, string(last.digest), checkManifests)
		if err != nil || len(page) == 0 {
			return err
		}
		next := page[len(page)-1].key
		recorded, err := c.references(last, next)
		if err != nil {
			return err
		}
		for i := range page {
			if err := c.manifest(&page[i], recorded[page[i].key]); err != nil {
				return err
			}
		}
		last = next
	}
}

func scanStoredManifest(r db.Row) (m storedManifest, err error) {
	err = r.Scan(&m.key.repository, &m.key.digest, &m.id.Account, &m.id.Region, &m.id.Name,
		&m.mediaType, &m.artifactType, &m.subject, &m.annotations, &m.size, &m.body)
	return m, err
}

// A recordedReference is a row of image_reference, and whether its digest is in the
// repository.
type recordedReference struct {
	mediaType string
	exists    bool
}

// references reads what is recorded about the manifests after one key and up to
// another.
func (c *checker) references(after, last digestKey) (map[digestKey]map[digest.Digest]recordedReference, error) {
	out := map[digestKey]map[digest.Digest]recordedReference{}
	_, err := db.All(c.ctx, c.q, func(r db.Row) (struct{}, error) {
		var key digestKey
		var d digest.Digest
		var ref recordedReference
		var found int64
		err := r.Scan(&key.repository, &key.digest, &d, &ref.mediaType, &found)
		ref.exists = found > 0
		if out[key] == nil {
			out[key] = map[digest.Digest]recordedReference{}
		}
		out[key][d] = ref
		return struct{}{}, err
	}, `SELECT f.repository, f.manifest, f.digest, f.media_type, CASE
			WHEN EXISTS (SELECT 1 FROM image_blob_link l WHERE l.repository = f.repository AND l.digest = f.digest)
			OR EXISTS (SELECT 1 FROM image_manifest m WHERE m.repository = f.repository AND m.digest = f.digest) THEN 1 ELSE 0 END
		FROM image_reference f WHERE (f.repository, f.manifest) > ($1, $2) AND (f.repository, f.manifest) <= ($3, $4)`,
		after.repository, string(after.digest), last.repository, string(last.digest))
	return out, err
}

func (c *checker) manifest(m *storedManifest, recorded map[digest.Digest]recordedReference) error {
	problem := func(kind, advice, message string, args ...any) consistency.Finding {
		return consistency.Finding{
			Severity: consistency.Problem, Kind: kind, Subject: m.id.ARN() + "@" + string(m.key.digest),
			Message: fmt.Sprintf(message, args...), Advice: advice,
		}
	}
	if m.key.digest.Validate() != nil || m.key.digest.Algorithm().FromBytes(m.body) != m.key.digest {
		return c.Report(problem("damaged-manifest", "Push the image again under another tag, delete this one, and push it once more; or restore the database from a backup.",
			"The manifest does not have its digest any more: its bytes were changed."))
	}
	parsed, err := parseManifest(m.mediaType, m.body)
	if err != nil {
		parsed, err = parseManifest("", m.body) // the recorded type may be what is wrong
	}
	if err != nil {
		return nil //nolint:nilerr // a limit may be stricter than when it was pushed; see reindexManifest
	}
	if err := c.needs(m, parsed, recorded, problem); err != nil {
		return err
	}
	if parsed.mediaType == m.mediaType && parsed.artifactType == m.artifactType && string(parsed.subject) == m.subject && sameJSON(parsed.annotations, m.annotations) && recordedAs(parsed, recorded) {
		return nil
	}
	f := problem("outdated-index", "Run gatehouse verify --repair while the server is stopped.",
		"What is recorded about the manifest (its types, subject, annotations or references) is not what the manifest says.")
	key, mediaType := m.key, m.mediaType
	f.Fix = &consistency.Fix{Name: "record again what the manifest says", Run: func(ctx context.Context, d *db.DB) error {
		return d.Tx(ctx, func(tx *db.Tx) error { return recordAgain(ctx, tx, key, mediaType) })
	}}
	return c.Report(f)
}

// needs reports what the manifest needs and the repository does not have.
func (c *checker) needs(m *storedManifest, parsed *parsedManifest, recorded map[digest.Digest]recordedReference, problem func(kind, advice, message string, args ...any) consistency.Finding) error {
	optional := map[digest.Digest]bool{}
	for _, d := range parsed.optional {
		optional[d] = true
	}
	var missing []string
	for d, ref := range recorded {
		if !ref.exists && !optional[d] {
			missing = append(missing, string(d))
		}
	}
	if missing == nil {
		return nil
	}
	const shown = 5
	list := strings.Join(missing[:min(len(missing), shown)], ", ")
	if len(missing) > shown {
		list += fmt.Sprintf(" and %d more", len(missing)-shown)
	}
	return c.Report(problem("missing-reference", "Push the image again.",
		"The manifest needs %s, which the repository does not have.", list))
}

// recordedAs reports whether the recorded references are those of the manifest.
func recordedAs(parsed *parsedManifest, recorded map[digest.Digest]recordedReference) bool {
	needs := parsed.needs()
	if len(needs) != len(recorded) {
		return false
	}
	for _, n := range needs {
		if ref, ok := recorded[n.digest]; !ok || ref.mediaType != n.mediaType {
			return false
		}
	}
	return true
}

// sameJSON compares the annotations, whose order of keys may differ.
func sameJSON(a, b string) bool {
	if a == b {
		return true
	}
	var x, y map[string]string
	if json.Unmarshal([]byte(a), &x) != nil || json.Unmarshal([]byte(b), &y) != nil || len(x) != len(y) {
		return false
	}
	for k, v := range x {
		if w, ok := y[k]; !ok || v != w {
			return false
		}
	}
	return true
}

// recordAgain writes what the store derives from a manifest. Its body stays.
func recordAgain(ctx context.Context, tx *db.Tx, key digestKey, mediaType string) error {
	bodies, err := db.All(ctx, tx, db.Scalar[[]byte], `SELECT body FROM image_manifest WHERE repository = $1 AND digest = $2`, key.repository, string(key.digest))
	if err != nil || len(bodies) == 0 {
		return err
	}
	m, err := parseManifest("", bodies[0])
	if err != nil { // it does not name its own type
		m, err = parseManifest(mediaType, bodies[0])
	}
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `UPDATE image_manifest SET media_type = $3, artifact_type = $4, subject = $5, annotations = $6 WHERE repository = $1 AND digest = $2`,
		key.repository, string(key.digest), m.mediaType, m.artifactType, string(m.subject), m.annotations); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `DELETE FROM image_reference WHERE repository = $1 AND manifest = $2`, key.repository, string(key.digest)); err != nil {
		return err
	}
	return reindexManifest(ctx, tx, key, m.mediaType, bodies[0])
}

package packages

import (
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"

	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/spdx"
)

// Traits tell what rules about versions look at and only the metadata of a format say.
// Package formats/traits implements it. It reads memory alone.
type Traits interface {
	// Licenses are the licences that the metadata of a version name, as they name them. The
	// user may choose among several.
	Licenses(f Format, v *Version) []string
	// File is what the metadata say of a file of a version. The file has no name if the
	// registry does not list the files of versions.
	File(f Format, v *Version, file *Asset) FileTraits
}

// FileTraits are what is known of a file. It is comparable.
type FileTraits struct{ Attested, Signed, InstallScripts Answer }

// An Answer to a question about a file.
type Answer int8

// The answers.
const (
	NotKnown Answer = iota
	No
	Yes
)

// AnswerOf is the answer to a question that is decided.
func AnswerOf(yes bool) Answer {
	if yes {
		return Yes
	}
	return No
}

// noTraits knows nothing.
type noTraits struct{}

func (noTraits) Licenses(Format, *Version) []string       { return nil }
func (noTraits) File(Format, *Version, *Asset) FileTraits { return FileTraits{} }

// A described version is a stored one. Its description is not kept in memory. Once a rule
// has asked for the licences that it names, they are.
type described struct{ licenses atomic.Pointer[[]string] }

// licenses are the values of gatehouse:License.
func (k *versionKeys) licenses() []string {
	texts := k.traits.Licenses(k.id.Format, k.version)
	if d := k.version.described; len(texts) == 0 && d != nil {
		if read := d.licenses.Load(); read != nil {
			texts = *read
		}
	}
	return spdx.Alternatives(texts...)
}

// readLicenses reads what the descriptions of stored versions say of their licences, if a
// rule looks at that, and it is not in memory.
func (s *Service) readLicenses(ctx context.Context, a *admission, versions ...*Version) error {
	if a.rules == nil || !a.rules.LookAt(authz.License) {
		return nil
	}
	missing := map[string][]*Version{} // by the name of the repository that has them
	for _, v := range versions {
		if v.described != nil && v.described.licenses.Load() == nil && len(a.traits.Licenses(a.id.Format, v)) == 0 {
			missing[v.Repository] = append(missing[v.Repository], v)
		}
	}
	d := s.snapshot.Load().domain(a.repository.id.Domain)
	for name, versions := range missing {
		r := d.repository(name)
		if r == nil {
			continue // deleted, and so are the versions
		}
		if err := s.readLicensesOf(ctx, r, a.id, versions); err != nil {
			return fmt.Errorf("read the licences of %s: %w", a.id, err)
		}
	}
	return nil
}

func (s *Service) readLicensesOf(ctx context.Context, r *repository, id PackageID, versions []*Version) error {
	byKey := map[string]*Version{}
	for _, v := range versions {
		byKey[id.Format.versionKey(v.Version)] = v
	}
	only := ""
	if len(versions) == 1 {
		only = id.Format.versionKey(versions[0].Version)
	}
	_, err := db.All(ctx, s.db, func(row db.Row) (struct{}, error) {
		var key string
		var text []byte
		if err := row.Scan(&key, &text); err != nil {
			return struct{}{}, err
		}
		var description struct {
			Licenses []License `json:"licenses"`
		}
		if v := byKey[key]; v != nil && (text == nil || json.Unmarshal(text, &description) == nil) {
			names := []string{}
			for _, l := range description.Licenses {
				names = append(names, l.Name)
			}
			v.described.licenses.Store(&names)
		}
		return struct{}{}, nil
	}, `SELECT v.version_key, v.description FROM pkg_version v JOIN pkg_package p ON p.id = v.package
		WHERE p.repository = $1 AND p.format = $2 AND p.namespace = $3 AND p.name_key = $4 AND (v.version_key = $5 OR $5 = '')`,
		r.row, string(id.Format), id.Namespace, id.key(), only)
	return err
}

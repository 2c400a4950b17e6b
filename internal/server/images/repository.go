package images

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/aws/arn"
	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/policy"
	"github.com/gatehouse-registry/gatehouse/internal/randid"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// A Repository is a repository with its settings. It is shared between requests: do
// not change it.
type Repository struct {
	ID      RepositoryID
	Created time.Time
	Settings
	// Policy is the text of the repository's policy, or empty. It names users and
	// roles by their unique ids, except in the results of the methods for policies.
	Policy string

	row      int64
	arn      string
	policies []*policy.Policy
}

// Settings are given when a repository is created. All of them except the
// encryption can be changed later.
type Settings struct {
	Mutability Mutability `json:"mutability"`
	// Exclusions are the wildcard filters of the modes with exclusion: 1 to 5.
	Exclusions []string   `json:"exclusions,omitempty"`
	ScanOnPush bool       `json:"scanOnPush,omitempty"`
	Encryption Encryption `json:"encryption"`
	// Tags are the tags of the resource, at most 50. They are not image tags.
	Tags map[string]string `json:"tags,omitempty"`
}

// Encryption is stored and returned, and nothing else: the bytes are as safe as the
// folder or the bucket in which they are stored.
type Encryption struct {
	Type   string `json:"type"` // AES256, KMS or KMS_DSSE
	KMSKey string `json:"kmsKey,omitempty"`
}

func (e Encryption) usesKMS() bool { return e.Type == "KMS" || e.Type == "KMS_DSSE" }

// withDefaultKey names the key that AWS uses if a repository with KMS encryption names
// none: one key for each registry. Clients such as Terraform expect it. The key does not
// exist.
func (e Encryption) withDefaultKey(id RepositoryID) Encryption {
	if e.KMSKey == "" && e.usesKMS() {
		e.KMSKey = arn.DefaultKMSKey("ecr", id.Region, id.Account)
	}
	return e
}

// CreateRepository creates an empty repository. Actions ecr:CreateRepository
// and, with tags, ecr:TagResource. Faults: AccessDenied, InvalidParameter,
// InvalidTagParameter, TooManyTags, RepositoryAlreadyExists, TooManyRepositories.
func (s *Service) CreateRepository(ctx context.Context, id RepositoryID, settings Settings) (*Repository, error) {
	actions := []string{"ecr:CreateRepository"}
	if len(settings.Tags) > 0 {
		actions = append(actions, "ecr:TagResource")
	}
	for _, action := range actions {
		if err := s.authorizeRequest(ctx, id, nil, authz.Request{Action: action, RequestTags: settings.Tags}); err != nil {
			return nil, err
		}
	}
	if err := checkRepositoryName(id.Name); err != nil {
		return nil, err
	}
	if err := checkMutability(settings.Mutability, settings.Exclusions); err != nil {
		return nil, err
	}
	if _, err := mergeTags(nil, settings.Tags); err != nil {
		return nil, err
	}
	r := &Repository{ID: id, Created: s.now().UTC().Truncate(time.Microsecond), Settings: settings, row: randid.Row()}
	return s.changeRepository(ctx, id, func(tx *db.Tx) (*Repository, bool, error) {
		return r, true, s.insertRepository(ctx, tx, r)
	})
}

// insertRepository inserts a repository with its settings and its policy. Faults:
// TooManyRepositories; RepositoryAlreadyExists, after which the transaction is of no use.
func (s *Service) insertRepository(ctx context.Context, tx *db.Tx, r *Repository) error {
	if err := s.checkRepositoryCount(ctx, tx, r.ID.registry()); err != nil {
		return err
	}
	r.Encryption = r.Encryption.withDefaultKey(r.ID)
	if err := r.compile(nil); err != nil {
		return err
	}
	text, err := json.Marshal(r.Settings)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO image_repository (`+repositoryColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		r.row, r.ID.Account, r.ID.Region, r.ID.Name, db.Micros(r.Created), string(text), r.Policy)
	if s.db.IsUnique(err) {
		return fault.New(fault.Conflict, "RepositoryAlreadyExists", "The repository with name '%s' already exists in the registry with id '%s'", r.ID.Name, r.ID.Account)
	}
	return err
}

// DescribeRepository returns a repository. Action ecr:DescribeRepositories.
// Faults: AccessDenied, RepositoryNotFound.
func (s *Service) DescribeRepository(ctx context.Context, id RepositoryID) (*Repository, error) {
	return s.authorize(ctx, id, "ecr:DescribeRepositories")
}

// Repositories lists the repositories of a registry in the byte order of their
// names: those after the name after, at most limit of them. more is true if there
// are further ones. Action ecr:DescribeRepositories on all the registry's
// repositories, arn:aws:ecr:REGION:ACCOUNT:repository/*. Fault: AccessDenied.
func (s *Service) Repositories(ctx context.Context, account, region, after string, limit int) (list []*Repository, more bool, err error) {
	err = s.authorizeRequest(ctx, RepositoryID{account, region, "*"}, nil, authz.Request{Action: "ecr:DescribeRepositories"})
	if err != nil {
		return nil, false, err
	}
	list, more = s.repositories.list(account, region, after, limit)
	return list, more, nil
}

// SetMutability sets which tags can be moved to another image. Action ecr:PutImageTagMutability.
// Faults: AccessDenied, RepositoryNotFound, InvalidParameter.
func (s *Service) SetMutability(ctx context.Context, id RepositoryID, mode Mutability, exclusions []string) (*Repository, error) {
	return s.change(ctx, id, "ecr:PutImageTagMutability", func(r *Repository) error {
		r.Mutability, r.Exclusions = mode, exclusions
		return checkMutability(mode, exclusions)
	})
}

// SetScanOnPush stores the setting. Action ecr:PutImageScanningConfiguration.
// Faults: AccessDenied, RepositoryNotFound.
func (s *Service) SetScanOnPush(ctx context.Context, id RepositoryID, on bool) (*Repository, error) {
	return s.change(ctx, id, "ecr:PutImageScanningConfiguration", func(r *Repository) error {
		r.ScanOnPush = on
		return nil
	})
}

// change authorizes action and calls [Service.edit].
func (s *Service) change(ctx context.Context, id RepositoryID, action string, edit func(*Repository) error) (*Repository, error) {
	repo, err := s.authorize(ctx, id, action)
	if err != nil {
		return nil, err
	}
	return s.edit(ctx, repo, edit)
}

// edit reads the repository in a transaction, applies the function edit to it, and
// commits and publishes the result. An edit that changes nothing writes nothing.
func (s *Service) edit(ctx context.Context, repo *Repository, edit func(*Repository) error) (*Repository, error) {
	return s.changeRepository(ctx, repo.ID, func(tx *db.Tx) (*Repository, bool, error) {
		known := s.repositories.get(repo.ID)
		old, err := db.One(ctx, tx, scanRepository(known), `SELECT `+repositoryColumns+` FROM image_repository WHERE id = $1`, repo.row)
		if errors.Is(err, db.ErrNoRows) {
			return nil, false, repositoryNotFound(repo.ID)
		}
		if err != nil {
			return nil, false, err
		}
		before, err := json.Marshal(old.Settings)
		if err != nil {
			return nil, false, err
		}
		r := *old
		r.Tags = maps.Clone(old.Tags)
		if err := edit(&r); err != nil {
			return nil, false, err
		}
		if err := r.compile(old); err != nil {
			return nil, false, err
		}
		after, err := json.Marshal(r.Settings)
		if err != nil {
			return nil, false, err
		}
		if bytes.Equal(before, after) && r.Policy == old.Policy {
			return old, false, nil
		}
		_, err = tx.Exec(ctx, `UPDATE image_repository SET settings = $2, policy = $3 WHERE id = $1`, r.row, string(after), r.Policy)
		return &r, true, err
	})
}

// Contents says what happens to the images of a repository that is deleted.
type Contents uint8

const (
	// KeepContents refuses to delete a repository that has images.
	KeepContents Contents = iota
	// DeleteContents deletes the images too: ECR's force.
	DeleteContents
)

// DeleteRepository deletes a repository and returns it as it was. Action
// ecr:DeleteRepository. Faults: AccessDenied, RepositoryNotFound,
// RepositoryNotEmpty.
func (s *Service) DeleteRepository(ctx context.Context, id RepositoryID, contents Contents) (*Repository, error) {
	repo, err := s.authorize(ctx, id, "ecr:DeleteRepository")
	if err != nil {
		return nil, err
	}
	_, err = s.changeRepository(ctx, id, func(tx *db.Tx) (_ *Repository, changed bool, err error) {
		uploads, err := deleteRepository(ctx, tx, repo, contents)
		if err != nil {
			return nil, true, err
		}
		return nil, true, s.removals.Delete(ctx, tx, uploads...)
	})
	if err != nil {
		return nil, err
	}
	return repo, nil
}

// deleteRepository deletes the rows of a repository, and returns the objects of its
// unfinished uploads.
func deleteRepository(ctx context.Context, tx *db.Tx, repo *Repository, contents Contents) (uploads []string, err error) {
	if err := checkExists(ctx, tx, repo); err != nil {
		return nil, err
	}
	n, err := db.One(ctx, tx, db.Scalar[int64], `SELECT count(*) FROM (SELECT 1 FROM image_manifest WHERE repository = $1 LIMIT 1) AS any_image`, repo.row)
	if err != nil {
		return nil, err
	}
	if n > 0 && contents == KeepContents {
		return nil, fault.New(fault.Conflict, "RepositoryNotEmpty", "The repository with name '%s' in registry with id '%s' cannot be deleted because it still contains images", repo.ID.Name, repo.ID.Account)
	}
	if uploads, err = db.All(ctx, tx, db.Scalar[string], `SELECT object FROM image_upload WHERE repository = $1`, repo.row); err != nil {
		return nil, err
	}
	for _, table := range []string{"image_tag", "image_reference", "image_signing", "image_signer", "image_manifest", "image_blob_link", "image_upload"} {
		if _, err := tx.Exec(ctx, `DELETE FROM `+table+` WHERE repository = $1`, repo.row); err != nil {
			return nil, err
		}
	}
	_, err = tx.Exec(ctx, `DELETE FROM image_repository WHERE id = $1`, repo.row)
	return uploads, err
}

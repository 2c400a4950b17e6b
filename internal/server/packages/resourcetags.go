package packages

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/aws/arn"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

const tagResource = "codeartifact:TagResource"

// A taggedResource is a domain, a repository or a package group.
type taggedResource struct {
	domain DomainID
	delta  delta
	table  string
	tags   map[string]string
	find   func(context.Context, *db.Tx) (row string, err error)
}

// knownRow finds a row that is known.
func knownRow(row string) func(context.Context, *db.Tx) (string, error) {
	return func(context.Context, *db.Tx) (string, error) { return row, nil }
}

// authorizeTagged authorizes the action on the resource with the ARN.
func (s *Service) authorizeTagged(ctx context.Context, action, resourceARN string, more authz.Request) (taggedResource, error) {
	a, err := arn.Parse(resourceARN)
	if err != nil || a.Partition != arn.Partition || a.Service != "codeartifact" {
		return taggedResource{}, invalid("%q is not the ARN of a domain, a repository or a package group.", resourceARN)
	}
	id := DomainID{Owner: a.AccountID, Region: a.Region}
	kind, name, _ := strings.Cut(a.Resource, "/")
	domainName, repository, _ := strings.Cut(name, "/")
	id.Name = domainName
	switch kind {
	case "domain":
		d, err := s.authorizeDomain(ctx, action, id, more)
		if err != nil {
			return taggedResource{}, err
		}
		return taggedResource{id, delta{domain: true}, "pkg_domain", d.tags, knownRow(d.row)}, nil
	case "repository":
		r, err := s.authorizeRepositoryWith(ctx, action, id.Repository(repository), more)
		if err != nil {
			return taggedResource{}, err
		}
		return taggedResource{id, delta{repository: repository}, "pkg_repository", r.tags, knownRow(r.row)}, nil
	case "package-group":
		return s.groupTags(ctx, action, GroupID{id, groupARNUnescapes.Replace("/" + repository)}, more)
	}
	return taggedResource{}, invalid("%q is not the ARN of a domain, a repository or a package group. Nothing else has tags.", resourceARN)
}

// ResourceTags returns the tags of a domain, a repository or a package group.
// codeartifact:ListTagsForResource on it.
func (s *Service) ResourceTags(ctx context.Context, resourceARN string) (map[string]string, error) {
	t, err := s.authorizeTagged(ctx, "codeartifact:ListTagsForResource", resourceARN, authz.Request{})
	return maps.Clone(t.tags), err
}

// TagResource adds tags to a domain, a repository or a package group. Fault ServiceQuotaExceeded: more
// than fifty tags. codeartifact:TagResource on it.
func (s *Service) TagResource(ctx context.Context, resourceARN string, tags map[string]string) error {
	t, err := s.authorizeTagged(ctx, tagResource, resourceARN, authz.Request{RequestTags: tags})
	if err != nil {
		return err
	}
	return s.editTags(ctx, t, func(old map[string]string) (map[string]string, error) { return mergeTags(old, tags) })
}

// UntagResource removes tags. A key that does not exist is not an error.
// codeartifact:UntagResource on the resource.
func (s *Service) UntagResource(ctx context.Context, resourceARN string, keys []string) error {
	t, err := s.authorizeTagged(ctx, "codeartifact:UntagResource", resourceARN, authz.Request{Keys: map[string][]string{"aws:TagKeys": keys}})
	if err != nil {
		return err
	}
	return s.editTags(ctx, t, func(old map[string]string) (map[string]string, error) {
		maps.DeleteFunc(old, func(k, _ string) bool { return slices.Contains(keys, k) })
		return old, nil
	})
}

func (s *Service) editTags(ctx context.Context, t taggedResource, edit func(map[string]string) (map[string]string, error)) error {
	return s.changeDomain(ctx, t.domain, t.delta, func(tx *db.Tx) error {
		row, err := t.find(ctx, tx)
		if err != nil {
			return err
		}
		text, err := db.One(ctx, tx, db.Scalar[string], `SELECT tags FROM `+t.table+` WHERE id = $1`, row)
		if err != nil {
			return err
		}
		var tags map[string]string
		if err := json.Unmarshal([]byte(text), &tags); err != nil {
			return err
		}
		if tags, err = edit(tags); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `UPDATE `+t.table+` SET tags = $2 WHERE id = $1`, row, asJSON(tags))
		return err
	})
}

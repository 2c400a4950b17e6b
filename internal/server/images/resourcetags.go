package images

import (
	"context"
	"maps"
	"strings"
	"unicode/utf8"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
)

// The limits on the tags of a resource (Tagging AWS Resources User Guide, "Tag
// naming limits and requirements"): their number, and characters.
const (
	maxResourceTags     = 50
	maxResourceTagKey   = 128
	maxResourceTagValue = 256
)

// ResourceTags returns the tags of the repository. Action
// ecr:ListTagsForResource. Faults: AccessDenied, RepositoryNotFound.
func (s *Service) ResourceTags(ctx context.Context, id RepositoryID) (map[string]string, error) {
	repo, err := s.authorize(ctx, id, "ecr:ListTagsForResource")
	if err != nil {
		return nil, err
	}
	return maps.Clone(repo.Tags), nil
}

// TagResource adds tags to the repository, or changes their values. Action
// ecr:TagResource. Faults: AccessDenied, RepositoryNotFound,
// InvalidTagParameter, TooManyTags.
func (s *Service) TagResource(ctx context.Context, id RepositoryID, tags map[string]string) error {
	return s.changeResourceTags(ctx, id, authz.Request{Action: "ecr:TagResource", RequestTags: tags}, func(r *Repository) error {
		if r.Tags == nil {
			r.Tags = make(map[string]string, len(tags))
		}
		maps.Copy(r.Tags, tags)
		return checkResourceTags(r.Tags)
	})
}

// UntagResource removes tags from the repository. A key that it does not have is
// not an error. Action ecr:UntagResource. Faults: AccessDenied, RepositoryNotFound.
func (s *Service) UntagResource(ctx context.Context, id RepositoryID, keys []string) error {
	req := authz.Request{Action: "ecr:UntagResource", Keys: map[string][]string{"aws:TagKeys": keys}}
	return s.changeResourceTags(ctx, id, req, func(r *Repository) error {
		for _, key := range keys {
			delete(r.Tags, key)
		}
		return nil
	})
}

// changeResourceTags is [Service.change] for a request with condition keys of its own.
func (s *Service) changeResourceTags(ctx context.Context, id RepositoryID, req authz.Request, edit func(*Repository) error) error {
	repo := s.repositories.get(id)
	if err := s.authorizeRequest(ctx, id, repo, req); err != nil {
		return err
	}
	if repo == nil {
		return repositoryNotFound(id)
	}
	_, err := s.edit(ctx, repo, edit)
	return err
}

func checkResourceTags(tags map[string]string) error {
	if len(tags) > maxResourceTags {
		return fault.New(fault.Limit, "TooManyTags", "A repository can have at most %d tags. With this change it would have %d.", maxResourceTags, len(tags))
	}
	for key, value := range tags {
		switch {
		case key == "" || utf8.RuneCountInString(key) > maxResourceTagKey:
			return fault.New(fault.Invalid, "InvalidTagParameter", "The tag key %q must have 1 to %d characters.", key, maxResourceTagKey)
		case len(key) >= 4 && strings.EqualFold(key[:4], "aws:"):
			return fault.New(fault.Invalid, "InvalidTagParameter", "The tag key %q begins with aws:, which is reserved.", key)
		case utf8.RuneCountInString(value) > maxResourceTagValue:
			return fault.New(fault.Invalid, "InvalidTagParameter", "The value of the tag %q must have at most %d characters.", key, maxResourceTagValue)
		}
	}
	return nil
}

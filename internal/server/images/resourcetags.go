package images

import (
	"context"
	"maps"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
	"github.com/gatehouse-registry/gatehouse/internal/server/resourcetags"
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
		merged, err := mergeTags(r.Tags, tags)
		if err != nil {
			return err
		}
		r.Tags = merged
		return nil
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

// mergeTags returns a repository's tags with added put over them. Faults:
// InvalidTagParameter, TooManyTags.
func mergeTags(old, added map[string]string) (map[string]string, error) {
	merged, err := resourcetags.Merge(old, added)
	if err == nil {
		return merged, nil
	}
	switch err.Reason {
	case resourcetags.TooMany:
		return nil, fault.New(fault.Limit, "TooManyTags", "A repository can have at most %d tags. With this change it would have %d.", resourcetags.MaxTags, err.Count)
	case resourcetags.KeyLength:
		return nil, fault.New(fault.Invalid, "InvalidTagParameter", "The tag key %q must have 1 to %d characters.", err.Key, resourcetags.MaxKeyLength)
	case resourcetags.ReservedKey:
		return nil, fault.New(fault.Invalid, "InvalidTagParameter", "The tag key %q begins with aws:, which is reserved.", err.Key)
	default:
		return nil, fault.New(fault.Invalid, "InvalidTagParameter", "The value of the tag %q must have at most %d characters.", err.Key, resourcetags.MaxValueLength)
	}
}

package codeartifactapi

import (
	"context"
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/codeartifact"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact/types"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
)

// ListTagsForResource lists the tags of a domain or a repository, by key.
func (a *API) ListTagsForResource(ctx context.Context, in *codeartifact.ListTagsForResourceInput) (*codeartifact.ListTagsForResourceOutput, error) {
	tags, err := a.packages.ResourceTags(ctx, text(in.ResourceArn))
	if err != nil {
		return nil, err
	}
	out := &codeartifact.ListTagsForResourceOutput{Tags: []types.Tag{}}
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		v := tags[k]
		out.Tags = append(out.Tags, types.Tag{Key: &k, Value: &v})
	}
	return out, nil
}

// TagResource adds tags to a domain or a repository.
func (a *API) TagResource(ctx context.Context, in *codeartifact.TagResourceInput) (*codeartifact.TagResourceOutput, error) {
	tags, err := tagMap(in.Tags)
	if err != nil {
		return nil, err
	}
	if err := a.packages.TagResource(ctx, text(in.ResourceArn), tags); err != nil {
		return nil, err
	}
	return &codeartifact.TagResourceOutput{}, nil
}

// UntagResource removes tags from a domain or a repository.
func (a *API) UntagResource(ctx context.Context, in *codeartifact.UntagResourceInput) (*codeartifact.UntagResourceOutput, error) {
	if err := a.packages.UntagResource(ctx, text(in.ResourceArn), in.TagKeys); err != nil {
		return nil, err
	}
	return &codeartifact.UntagResourceOutput{}, nil
}

func tagMap(in []types.Tag) (map[string]string, error) {
	out := make(map[string]string, len(in))
	for _, t := range in {
		k := text(t.Key)
		if _, twice := out[k]; twice {
			return nil, fault.New(fault.Invalid, "Validation", "The tag key %q appears twice.", k)
		}
		out[k] = text(t.Value)
	}
	return out, nil
}

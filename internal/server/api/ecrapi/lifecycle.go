package ecrapi

import (
	"context"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/gatehouse-registry/gatehouse/internal/server/api/optional"
	"github.com/gatehouse-registry/gatehouse/internal/server/api/pagetoken"
	"github.com/gatehouse-registry/gatehouse/internal/server/images"
	"github.com/gatehouse-registry/gatehouse/internal/server/images/lifecycle"
)

// PutLifecyclePolicy sets the repository's lifecycle policy.
func (a *API) PutLifecyclePolicy(ctx context.Context, in *ecr.PutLifecyclePolicyInput) (*ecr.PutLifecyclePolicyOutput, error) {
	id := repository(ctx, in.RegistryId, in.RepositoryName)
	if err := a.c.Images.PutLifecyclePolicy(ctx, id, optional.Value(in.LifecyclePolicyText)); err != nil {
		return nil, err
	}
	return &ecr.PutLifecyclePolicyOutput{LifecyclePolicyText: in.LifecyclePolicyText, RegistryId: &id.Account, RepositoryName: &id.Name}, nil
}

// GetLifecyclePolicy returns the repository's lifecycle policy, as it was given.
func (a *API) GetLifecyclePolicy(ctx context.Context, in *ecr.GetLifecyclePolicyInput) (*ecr.GetLifecyclePolicyOutput, error) {
	id := repository(ctx, in.RegistryId, in.RepositoryName)
	p, err := a.c.Images.LifecyclePolicy(ctx, id)
	if err != nil {
		return nil, err
	}
	return &ecr.GetLifecyclePolicyOutput{LifecyclePolicyText: &p.Document, LastEvaluatedAt: optional.Time(p.Evaluated), RegistryId: &id.Account, RepositoryName: &id.Name}, nil
}

// DeleteLifecyclePolicy deletes the repository's lifecycle policy.
func (a *API) DeleteLifecyclePolicy(ctx context.Context, in *ecr.DeleteLifecyclePolicyInput) (*ecr.DeleteLifecyclePolicyOutput, error) {
	id := repository(ctx, in.RegistryId, in.RepositoryName)
	p, err := a.c.Images.DeleteLifecyclePolicy(ctx, id)
	if err != nil {
		return nil, err
	}
	return &ecr.DeleteLifecyclePolicyOutput{LifecyclePolicyText: &p.Document, LastEvaluatedAt: optional.Time(p.Evaluated), RegistryId: &id.Account, RepositoryName: &id.Name}, nil
}

// StartLifecyclePolicyPreview begins to preview a policy: the given one, or the one that
// holds for the repository.
func (a *API) StartLifecyclePolicyPreview(ctx context.Context, in *ecr.StartLifecyclePolicyPreviewInput) (*ecr.StartLifecyclePolicyPreviewOutput, error) {
	id := repository(ctx, in.RegistryId, in.RepositoryName)
	text, err := a.c.Images.StartLifecyclePreview(ctx, id, in.LifecyclePolicyText)
	if err != nil {
		return nil, err
	}
	return &ecr.StartLifecyclePolicyPreviewOutput{LifecyclePolicyText: &text, RegistryId: &id.Account, RepositoryName: &id.Name, Status: types.LifecyclePolicyPreviewStatusInProgress}, nil
}

// GetLifecyclePolicyPreview returns the state of the preview, and the images that the
// policy would remove.
func (a *API) GetLifecyclePolicyPreview(ctx context.Context, in *ecr.GetLifecyclePolicyPreviewInput) (*ecr.GetLifecyclePolicyPreviewOutput, error) {
	id := repository(ctx, in.RegistryId, in.RepositoryName)
	query := images.PreviewQuery{Tags: imageFilter(optional.Value(in.Filter).TagStatus, "").Tags, Limit: pageSize(in.MaxResults)}
	if in.ImageIds != nil {
		if in.NextToken != nil || in.MaxResults != nil {
			return nil, invalidParameter("imageIds", "Member must not be given together with nextToken or maxResults")
		}
		query.Images = references(in.ImageIds)
	}
	page := pagetoken.NewScope("GetLifecyclePolicyPreview", id.ARN(), string(query.Tags))
	cursor, err := cursorOf(page, in.NextToken, 1)
	if err != nil {
		return nil, err
	}
	if in.NextToken != nil {
		if query.After, err = strconv.ParseInt(cursor[0], 10, 64); err != nil {
			return nil, invalidParameter("nextToken", "The token is not one that this operation returned for the same parameters")
		}
	}
	preview, list, next, err := a.c.Images.LifecyclePreview(ctx, id, query)
	if err != nil {
		return nil, err
	}
	out := &ecr.GetLifecyclePolicyPreviewOutput{
		LifecyclePolicyText: &preview.Document, RegistryId: &id.Account, RepositoryName: &id.Name, Status: types.LifecyclePolicyPreviewStatus(preview.State),
		PreviewResults: []types.LifecyclePolicyPreviewResult{},
		Summary:        &types.LifecyclePolicyPreviewSummary{ExpiringImageTotalCount: new(int32(preview.Expiring))},
	}
	if preview.Transitioning > 0 {
		out.Summary.TransitioningImageTotalCounts = []types.TransitioningImageTotalCount{{
			ImageTotalCount: new(int32(preview.Transitioning)), TargetStorageClass: types.LifecyclePolicyTargetStorageClassArchive,
		}}
	}
	for i := range list {
		img := &list[i]
		out.PreviewResults = append(out.PreviewResults, types.LifecyclePolicyPreviewResult{
			Action: ruleAction(img.Action), AppliedRulePriority: new(int32(img.Priority)),
			ImageDigest: new(string(img.Digest)), ImagePushedAt: &img.PushedAt, ImageTags: img.Tags, StorageClass: types.LifecyclePolicyStorageClass(strings.ToUpper(string(img.Class))),
		})
	}
	out.NextToken = page.Next(next > 0, strconv.FormatInt(next, 10))
	return out, nil
}

func ruleAction(a lifecycle.Action) *types.LifecyclePolicyRuleAction {
	if a == lifecycle.Transition {
		return &types.LifecyclePolicyRuleAction{Type: types.ImageActionTypeTransition, TargetStorageClass: types.LifecyclePolicyTargetStorageClassArchive}
	}
	return &types.LifecyclePolicyRuleAction{Type: types.ImageActionTypeExpire}
}

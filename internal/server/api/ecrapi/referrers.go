package ecrapi

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/opencontainers/go-digest"

	"github.com/gatehouse-registry/gatehouse/internal/server/api/optional"
	"github.com/gatehouse-registry/gatehouse/internal/server/api/pagetoken"
	"github.com/gatehouse-registry/gatehouse/internal/server/images"
)

// defaultReferrers is the length of a page of referrers if the request does not say it.
const defaultReferrers = 20

// ListImageReferrers lists the manifests that refer to an image by their subject, ordered
// by digest.
func (a *API) ListImageReferrers(ctx context.Context, in *ecr.ListImageReferrersInput) (*ecr.ListImageReferrersOutput, error) {
	id, filter := repository(ctx, in.RegistryId, in.RepositoryName), optional.Value(in.Filter)
	query := images.ReferrersQuery{
		Subject: digest.Digest(optional.Value(optional.Value(in.SubjectId).ImageDigest)), ArtifactTypes: filter.ArtifactTypes,
		Status: images.ImageStatus(filter.ArtifactStatus),
		Limit:  defaultReferrers, MaxBytes: images.MaxManifest,
	}
	if in.MaxResults != nil {
		query.Limit = int(*in.MaxResults)
	}
	page := pagetoken.NewScope("ListImageReferrers", append([]string{id.ARN(), string(query.Subject), string(filter.ArtifactStatus)}, filter.ArtifactTypes...)...)
	cursor, err := cursorOf(page, in.NextToken, 1)
	if err != nil {
		return nil, err
	}
	query.After = cursor[0]
	list, next, err := a.c.Images.ImageReferrers(ctx, id, query)
	if err != nil {
		return nil, err
	}
	out := &ecr.ListImageReferrersOutput{Referrers: []types.ImageReferrer{}}
	for i := range list {
		d := &list[i]
		out.Referrers = append(out.Referrers, types.ImageReferrer{
			Digest: new(string(d.Digest)), MediaType: &d.MediaType, Size: &d.Size, Annotations: d.Annotations, ArtifactType: optional.Text(d.ArtifactType), ArtifactStatus: types.ArtifactStatus(d.Status),
		})
	}
	out.NextToken = page.Next(next != "", next)
	return out, nil
}

// Package secretsmanagerapi is the handler of the AWS Secrets Manager API. Each operation is
// one method of [API] with the signature of the SDK's client. The rules and the authorization
// are in package secrets. Operations that are not registered, such as those for rotation and
// replication, answer NotImplementedException.
//
// This package must not import another handler, or a database.
package secretsmanagerapi

import (
	"context"

	sm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/gatehouse-registry/gatehouse/internal/aws/wire"
	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/api/optional"
	"github.com/gatehouse-registry/gatehouse/internal/server/api/pagetoken"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/secrets"
)

// Config has what an [API] needs.
type Config struct{ Secrets *secrets.Service }

// An API is the operations.
type API struct{ c Config }

// New returns the API.
func New(c Config) *API { return &API{c} }

// Register adds the operations of a to s.
func Register(s *wire.Service, a *API) {
	wire.Handle(s, a.CreateSecret)
	wire.Handle(s, a.GetSecretValue)
	wire.Handle(s, a.PutSecretValue)
	wire.Handle(s, a.UpdateSecret)
	wire.Handle(s, a.DescribeSecret)
	wire.Handle(s, a.ListSecrets)
	wire.Handle(s, a.DeleteSecret)
	wire.Handle(s, a.RestoreSecret)
	wire.Handle(s, a.TagResource)
	wire.Handle(s, a.UntagResource)
	wire.Handle(s, a.GetResourcePolicy)
}

// place returns the account and the region of the caller.
func place(ctx context.Context) (p secrets.Place) {
	if c := authn.FromContext(ctx); c != nil {
		p = secrets.Place{Account: c.Account, Region: c.Region}
	}
	return p
}

// value returns the value of a request, or nil if it has none.
func value(text *string, binary []byte) (*secrets.Value, error) {
	switch {
	case text != nil && binary != nil:
		return nil, fault.New(fault.Invalid, "InvalidParameter", "You can't specify both a binary secret value and a string secret value in the same secret.")
	case text != nil:
		return &secrets.Value{Bytes: []byte(*text)}, nil
	case binary != nil:
		return &secrets.Value{Bytes: binary, Binary: true}, nil
	}
	return nil, nil
}

// unsupported refuses members that would promise something that does not exist.
func unsupported(member string, given bool) error {
	if !given {
		return nil
	}
	return fault.New(fault.Invalid, "InvalidParameter", "%s is not supported by this server: leave it out.", member)
}

// CreateSecret creates a secret, with a version if the request has a value.
func (a *API) CreateSecret(ctx context.Context, in *sm.CreateSecretInput) (*sm.CreateSecretOutput, error) {
	v, err := value(in.SecretString, in.SecretBinary)
	if err != nil {
		return nil, err
	}
	for member, given := range map[string]bool{"AddReplicaRegions": len(in.AddReplicaRegions) > 0, "Type": in.Type != nil, "CrossAccountPrimaryARN": in.CrossAccountPrimaryARN != nil} {
		if err := unsupported(member, given); err != nil {
			return nil, err
		}
	}
	x, version, err := a.c.Secrets.Create(ctx, place(ctx), secrets.NewSecret{
		Name: optional.Value(in.Name), Description: optional.Value(in.Description), KMSKey: optional.Value(in.KmsKeyId), Tags: tagMap(in.Tags), Value: v, Token: optional.Value(in.ClientRequestToken),
	})
	if err != nil {
		return nil, err
	}
	return &sm.CreateSecretOutput{ARN: &x.ARN, Name: &x.Name, VersionId: optional.Text(version)}, nil
}

// GetSecretValue returns a value.
func (a *API) GetSecretValue(ctx context.Context, in *sm.GetSecretValueInput) (*sm.GetSecretValueOutput, error) {
	x, version, v, err := a.c.Secrets.Get(ctx, place(ctx), optional.Value(in.SecretId), optional.Value(in.VersionId), optional.Value(in.VersionStage))
	if err != nil {
		return nil, err
	}
	out := &sm.GetSecretValueOutput{ARN: &x.ARN, Name: &x.Name, CreatedDate: &version.Created, VersionId: &version.ID, VersionStages: version.Stages}
	if v.Binary {
		out.SecretBinary = v.Bytes
	} else {
		out.SecretString = new(string(v.Bytes))
	}
	return out, nil
}

// PutSecretValue adds a version.
func (a *API) PutSecretValue(ctx context.Context, in *sm.PutSecretValueInput) (*sm.PutSecretValueOutput, error) {
	v, err := value(in.SecretString, in.SecretBinary)
	if err == nil && v == nil {
		err = fault.New(fault.Invalid, "InvalidParameter", "You must provide either SecretString or SecretBinary.")
	}
	if err == nil {
		err = unsupported("RotationToken", in.RotationToken != nil)
	}
	if err != nil {
		return nil, err
	}
	x, version, err := a.c.Secrets.Put(ctx, place(ctx), optional.Value(in.SecretId), secrets.Put{Value: *v, Token: optional.Value(in.ClientRequestToken), Stages: in.VersionStages})
	if err != nil {
		return nil, err
	}
	return &sm.PutSecretValueOutput{ARN: &x.ARN, Name: &x.Name, VersionId: &version.ID, VersionStages: version.Stages}, nil
}

// UpdateSecret changes a secret, and adds a version if the request has a value.
func (a *API) UpdateSecret(ctx context.Context, in *sm.UpdateSecretInput) (*sm.UpdateSecretOutput, error) {
	v, err := value(in.SecretString, in.SecretBinary)
	if err == nil {
		err = unsupported("Type", in.Type != nil)
	}
	if err != nil {
		return nil, err
	}
	x, version, err := a.c.Secrets.Update(ctx, place(ctx), optional.Value(in.SecretId), secrets.Update{Description: in.Description, KMSKey: in.KmsKeyId, Value: v, Token: optional.Value(in.ClientRequestToken)})
	if err != nil {
		return nil, err
	}
	return &sm.UpdateSecretOutput{ARN: &x.ARN, Name: &x.Name, VersionId: optional.Text(version)}, nil
}

// DescribeSecret describes a secret without its value.
func (a *API) DescribeSecret(ctx context.Context, in *sm.DescribeSecretInput) (*sm.DescribeSecretOutput, error) {
	x, err := a.c.Secrets.Describe(ctx, place(ctx), optional.Value(in.SecretId))
	if err != nil {
		return nil, err
	}
	return &sm.DescribeSecretOutput{
		ARN: &x.ARN, Name: &x.Name, Description: optional.Text(x.Description), KmsKeyId: optional.Text(x.KMSKey), Tags: tagList(x.Tags),
		CreatedDate: &x.Created, LastChangedDate: &x.Changed, LastAccessedDate: optional.Time(x.Accessed), DeletedDate: optional.Time(x.Until),
		VersionIdsToStages: stages(x),
	}, nil
}

// ListSecrets lists secrets.
func (a *API) ListSecrets(ctx context.Context, in *sm.ListSecretsInput) (*sm.ListSecretsOutput, error) {
	q := secrets.Query{Marked: optional.Value(in.IncludePlannedDeletion), Descending: in.SortOrder == types.SortOrderTypeDesc, Limit: defaultPage}
	switch in.SortBy {
	case types.SortByTypeName:
		q.By = "name"
	case types.SortByTypeLastChangedDate:
		q.By = "changed"
	case types.SortByTypeLastAccessedDate:
		q.By = "accessed"
	}
	chosen := []string{q.By, string(in.SortOrder)}
	for _, f := range in.Filters {
		q.Filters = append(q.Filters, secrets.Filter{Key: string(f.Key), Values: f.Values})
		chosen = append(append(chosen, string(f.Key)), f.Values...)
	}
	p := place(ctx)
	page := pagetoken.NewScope("ListSecrets", append(chosen, p.Account, p.Region)...)
	cursor, err := page.Cursor(in.NextToken, 1)
	if err != nil {
		return nil, &types.InvalidNextTokenException{Message: new("Invalid nextToken.")}
	}
	q.After = cursor[0]
	if in.MaxResults != nil {
		q.Limit = int(*in.MaxResults)
	}
	list, more, err := a.c.Secrets.List(ctx, p, q)
	if err != nil {
		return nil, err
	}
	out := &sm.ListSecretsOutput{SecretList: make([]types.SecretListEntry, len(list))}
	for i, x := range list {
		out.SecretList[i] = types.SecretListEntry{
			ARN: &x.ARN, Name: &x.Name, Description: optional.Text(x.Description), KmsKeyId: optional.Text(x.KMSKey), Tags: tagList(x.Tags),
			CreatedDate: &x.Created, LastChangedDate: &x.Changed, LastAccessedDate: optional.Time(x.Accessed), DeletedDate: optional.Time(x.Until),
			SecretVersionsToStages: stages(x),
		}
	}
	if more {
		out.NextToken = page.Next(more, list[len(list)-1].ARN)
	}
	return out, nil
}

// defaultPage is the length of a page if the request does not say it.
const defaultPage = 100

// DeleteSecret marks a secret for deletion, or deletes it.
func (a *API) DeleteSecret(ctx context.Context, in *sm.DeleteSecretInput) (*sm.DeleteSecretOutput, error) {
	x, err := a.c.Secrets.Delete(ctx, place(ctx), optional.Value(in.SecretId), optional.Value(in.RecoveryWindowInDays), optional.Value(in.ForceDeleteWithoutRecovery))
	if err != nil {
		return nil, err
	}
	return &sm.DeleteSecretOutput{ARN: &x.ARN, Name: &x.Name, DeletionDate: &x.Until}, nil
}

// RestoreSecret takes the mark for deletion away.
func (a *API) RestoreSecret(ctx context.Context, in *sm.RestoreSecretInput) (*sm.RestoreSecretOutput, error) {
	x, err := a.c.Secrets.Restore(ctx, place(ctx), optional.Value(in.SecretId))
	if err != nil {
		return nil, err
	}
	return &sm.RestoreSecretOutput{ARN: &x.ARN, Name: &x.Name}, nil
}

// TagResource adds tags to a secret.
func (a *API) TagResource(ctx context.Context, in *sm.TagResourceInput) (*sm.TagResourceOutput, error) {
	return &sm.TagResourceOutput{}, a.c.Secrets.Tag(ctx, place(ctx), optional.Value(in.SecretId), tagMap(in.Tags))
}

// UntagResource removes tags from a secret.
func (a *API) UntagResource(ctx context.Context, in *sm.UntagResourceInput) (*sm.UntagResourceOutput, error) {
	return &sm.UntagResourceOutput{}, a.c.Secrets.Untag(ctx, place(ctx), optional.Value(in.SecretId), in.TagKeys)
}

// GetResourcePolicy returns no policy: PutResourcePolicy is not implemented. Terraform asks
// for it whenever it reads a secret.
func (a *API) GetResourcePolicy(ctx context.Context, in *sm.GetResourcePolicyInput) (*sm.GetResourcePolicyOutput, error) {
	x, err := a.c.Secrets.CheckPolicyReadable(ctx, place(ctx), optional.Value(in.SecretId))
	if err != nil {
		return nil, err
	}
	return &sm.GetResourcePolicyOutput{ARN: &x.ARN, Name: &x.Name}, nil
}

package ecrapi

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/api/optional"
	"github.com/gatehouse-registry/gatehouse/internal/server/api/pagetoken"
	"github.com/gatehouse-registry/gatehouse/internal/server/images"
)

// ownRegistry returns the registry of the caller's account.
func ownRegistry(ctx context.Context) images.RegistryID {
	r := registry(ctx, nil)
	return images.RegistryID{Account: r.Account, Region: r.Region}
}

// PutRegistryPolicy sets the registry policy.
func (a *API) PutRegistryPolicy(ctx context.Context, in *ecr.PutRegistryPolicyInput) (*ecr.PutRegistryPolicyOutput, error) {
	id := ownRegistry(ctx)
	text, err := a.c.Images.PutRegistryPolicy(ctx, id, optional.Value(in.PolicyText))
	if err != nil {
		return nil, err
	}
	return &ecr.PutRegistryPolicyOutput{PolicyText: &text, RegistryId: &id.Account}, nil
}

// GetRegistryPolicy returns the registry policy.
func (a *API) GetRegistryPolicy(ctx context.Context, _ *ecr.GetRegistryPolicyInput) (*ecr.GetRegistryPolicyOutput, error) {
	id := ownRegistry(ctx)
	text, err := a.c.Images.RegistryPolicy(ctx, id)
	if err != nil {
		return nil, err
	}
	return &ecr.GetRegistryPolicyOutput{PolicyText: &text, RegistryId: &id.Account}, nil
}

// DeleteRegistryPolicy deletes the registry policy.
func (a *API) DeleteRegistryPolicy(ctx context.Context, _ *ecr.DeleteRegistryPolicyInput) (*ecr.DeleteRegistryPolicyOutput, error) {
	id := ownRegistry(ctx)
	text, err := a.c.Images.DeleteRegistryPolicy(ctx, id)
	if err != nil {
		return nil, err
	}
	return &ecr.DeleteRegistryPolicyOutput{PolicyText: &text, RegistryId: &id.Account}, nil
}

// GetAccountSetting returns the value of a setting, or its default.
func (a *API) GetAccountSetting(ctx context.Context, in *ecr.GetAccountSettingInput) (*ecr.GetAccountSettingOutput, error) {
	value, err := a.c.Images.AccountSetting(ctx, ownRegistry(ctx), optional.Value(in.Name))
	if err != nil {
		return nil, err
	}
	return &ecr.GetAccountSettingOutput{Name: in.Name, Value: &value}, nil
}

// PutAccountSetting sets a setting.
func (a *API) PutAccountSetting(ctx context.Context, in *ecr.PutAccountSettingInput) (*ecr.PutAccountSettingOutput, error) {
	if err := a.c.Images.PutAccountSetting(ctx, ownRegistry(ctx), optional.Value(in.Name), optional.Value(in.Value)); err != nil {
		return nil, err
	}
	return &ecr.PutAccountSettingOutput{Name: in.Name, Value: in.Value}, nil
}

// GetRegistryScanningConfiguration returns the scanning configuration of the registry.
func (a *API) GetRegistryScanningConfiguration(ctx context.Context, _ *ecr.GetRegistryScanningConfigurationInput) (*ecr.GetRegistryScanningConfigurationOutput, error) {
	id := ownRegistry(ctx)
	c, err := a.c.Images.ScanningConfiguration(ctx, id)
	if err != nil {
		return nil, err
	}
	return &ecr.GetRegistryScanningConfigurationOutput{RegistryId: &id.Account, ScanningConfiguration: scanningConfiguration(c)}, nil
}

// PutRegistryScanningConfiguration stores the scanning configuration of the registry.
func (a *API) PutRegistryScanningConfiguration(ctx context.Context, in *ecr.PutRegistryScanningConfigurationInput) (*ecr.PutRegistryScanningConfigurationOutput, error) {
	c := images.ScanningConfiguration{Type: string(in.ScanType)}
	if c.Type == "" {
		c.Type = images.ScanBasic
	}
	for _, rule := range in.Rules {
		r := images.ScanningRule{Frequency: string(rule.ScanFrequency)}
		for _, f := range rule.RepositoryFilters {
			r.Filters = append(r.Filters, optional.Value(f.Filter))
		}
		c.Rules = append(c.Rules, r)
	}
	if err := a.c.Images.PutScanningConfiguration(ctx, ownRegistry(ctx), c); err != nil {
		return nil, err
	}
	return &ecr.PutRegistryScanningConfigurationOutput{RegistryScanningConfiguration: scanningConfiguration(c)}, nil
}

func scanningConfiguration(c images.ScanningConfiguration) *types.RegistryScanningConfiguration {
	out := &types.RegistryScanningConfiguration{ScanType: types.ScanType(c.Type), Rules: []types.RegistryScanningRule{}}
	for _, rule := range c.Rules {
		out.Rules = append(out.Rules, types.RegistryScanningRule{ScanFrequency: types.ScanFrequency(rule.Frequency), RepositoryFilters: scanningFilters(rule.Filters)})
	}
	return out
}

func scanningFilters(list []string) []types.ScanningRepositoryFilter {
	out := make([]types.ScanningRepositoryFilter, len(list))
	for i, f := range list {
		out[i] = types.ScanningRepositoryFilter{Filter: &f, FilterType: types.ScanningRepositoryFilterTypeWildcard}
	}
	return out
}

// BatchGetRepositoryScanningConfiguration returns how repositories are to be scanned.
func (a *API) BatchGetRepositoryScanningConfiguration(ctx context.Context, in *ecr.BatchGetRepositoryScanningConfigurationInput) (*ecr.BatchGetRepositoryScanningConfigurationOutput, error) {
	out := &ecr.BatchGetRepositoryScanningConfigurationOutput{Failures: []types.RepositoryScanningConfigurationFailure{}, ScanningConfigurations: []types.RepositoryScanningConfiguration{}}
	for i := range in.RepositoryNames {
		id := repository(ctx, nil, &in.RepositoryNames[i])
		c, err := a.c.Images.RepositoryScanning(ctx, id)
		switch {
		case fault.Is(err, "RepositoryNotFound"):
			out.Failures = append(out.Failures, types.RepositoryScanningConfigurationFailure{
				FailureCode: types.ScanningConfigurationFailureCodeRepositoryNotFound, FailureReason: &fault.From(err).Message, RepositoryName: &id.Name,
			})
		case err != nil:
			return nil, err
		default:
			out.ScanningConfigurations = append(out.ScanningConfigurations, types.RepositoryScanningConfiguration{
				AppliedScanFilters: scanningFilters(c.Filters), RepositoryArn: new(id.ARN()), RepositoryName: &id.Name, ScanFrequency: types.ScanFrequency(c.Frequency), ScanOnPush: c.ScanOnPush,
			})
		}
	}
	return out, nil
}

// RegisterPullTimeUpdateExclusion adds a principal whose pulls do not count.
func (a *API) RegisterPullTimeUpdateExclusion(ctx context.Context, in *ecr.RegisterPullTimeUpdateExclusionInput) (*ecr.RegisterPullTimeUpdateExclusionOutput, error) {
	e, err := a.c.Images.RegisterPullTimeExclusion(ctx, ownRegistry(ctx), optional.Value(in.PrincipalArn))
	if err != nil {
		return nil, err
	}
	return &ecr.RegisterPullTimeUpdateExclusionOutput{CreatedAt: &e.Created, PrincipalArn: &e.ARN}, nil
}

// DeregisterPullTimeUpdateExclusion removes an exclusion.
func (a *API) DeregisterPullTimeUpdateExclusion(ctx context.Context, in *ecr.DeregisterPullTimeUpdateExclusionInput) (*ecr.DeregisterPullTimeUpdateExclusionOutput, error) {
	if err := a.c.Images.DeregisterPullTimeExclusion(ctx, ownRegistry(ctx), optional.Value(in.PrincipalArn)); err != nil {
		return nil, err
	}
	return &ecr.DeregisterPullTimeUpdateExclusionOutput{PrincipalArn: in.PrincipalArn}, nil
}

// ListPullTimeUpdateExclusions lists the exclusions, ordered by ARN.
func (a *API) ListPullTimeUpdateExclusions(ctx context.Context, in *ecr.ListPullTimeUpdateExclusionsInput) (*ecr.ListPullTimeUpdateExclusionsOutput, error) {
	id := ownRegistry(ctx)
	page := pagetoken.NewScope("ListPullTimeUpdateExclusions", id.Account, id.Region)
	cursor, err := cursorOf(page, in.NextToken, 1)
	if err != nil {
		return nil, err
	}
	list, more, err := a.c.Images.PullTimeExclusions(ctx, id, cursor[0], pageSize(in.MaxResults))
	if err != nil {
		return nil, err
	}
	out := &ecr.ListPullTimeUpdateExclusionsOutput{PullTimeUpdateExclusions: append([]string{}, list...)}
	if more {
		out.NextToken = page.Next(more, list[len(list)-1])
	}
	return out, nil
}

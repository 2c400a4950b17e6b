package report

import (
	"context"

	"github.com/gatehouse-registry/gatehouse/internal/server/iam"
)

// AccountSummary counts what the caller's account has, and names the quotas, in
// the words of the IAM API Reference, GetAccountSummary.
func (s *Service) AccountSummary(ctx context.Context) (map[string]int, error) {
	sn := s.core.Snapshot()
	a, err := s.core.Account(ctx, sn, "iam:GetAccountSummary")
	if err != nil {
		return nil, err
	}
	m := map[string]int{
		"AccessKeysPerUserQuota":            iam.MaxKeys,
		"AttachedPoliciesPerGroupQuota":     iam.MaxAttached,
		"AttachedPoliciesPerRoleQuota":      iam.MaxAttached,
		"AttachedPoliciesPerUserQuota":      iam.MaxAttached,
		"GroupsPerUserQuota":                iam.MaxGroups,
		"PolicySizeQuota":                   iam.MaxManaged,
		"VersionsPerPolicyQuota":            iam.MaxVersions,
		"AssumeRolePolicySizeQuota":         iam.MaxTrust,
		"UserPolicySizeQuota":               iam.MaxInline[iam.KindUser],
		"GroupPolicySizeQuota":              iam.MaxInline[iam.KindGroup],
		"RolePolicySizeQuota":               iam.MaxInline[iam.KindRole],
		"UsersQuota":                        5000,
		"GroupsQuota":                       300,
		"RolesQuota":                        1000,
		"PoliciesQuota":                     1500,
		"PolicyVersionsInUseQuota":          10000,
		"InstanceProfilesQuota":             1000,
		"ServerCertificatesQuota":           20,
		"SigningCertificatesPerUserQuota":   2,
		"GlobalEndpointTokenVersion":        1,
		"AccountPasswordPresent":            0,
		"MFADevicesInUse":                   0,
		"AccountMFAEnabled":                 0,
		"AccountSigningCertificatesPresent": 0,
		"MFADevices":                        0,
		"InstanceProfiles":                  0,
		"ServerCertificates":                0,
		"AccountAccessKeysPresent":          min(len(a.Keys), 1),
	}
	for kind, name := range map[iam.Kind]string{iam.KindUser: "Users", iam.KindGroup: "Groups", iam.KindRole: "Roles", iam.KindPolicy: "Policies", iam.KindOIDCProvider: "Providers"} {
		m[name] = 0
		for range sn.Entities(a.ID, kind, "") {
			m[name]++
		}
	}
	for e := range sn.Entities(a.ID, iam.KindPolicy, "") {
		m["PolicyVersionsInUse"] += len(e.(*iam.Policy).Versions)
	}
	return m, nil
}

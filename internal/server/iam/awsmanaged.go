package iam

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"strconv"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/policy"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/managed"
	"github.com/gatehouse-registry/gatehouse/internal/server/token"
)

// awsManagedPolicies returns AWS's policies as entities of the account "aws".
// They are part of every snapshot, and in no table.
func awsManagedPolicies() ([]*Policy, error) {
	var out []*Policy
	for _, m := range managed.Policies() {
		version, err := strconv.Atoi(strings.TrimPrefix(m.VersionID, "v"))
		if err != nil {
			return nil, fmt.Errorf("iam: %s: version %q: %w", m.ARN, m.VersionID, err)
		}
		if _, err := policy.Parse(m.Document, policy.Identity); err != nil {
			return nil, fmt.Errorf("iam: %s: %w", m.ARN, err)
		}
		out = append(out, &Policy{
			Common:      Common{ID: awsPolicyID(m.Name), Account: AWSAccount, Path: m.Path, Name: m.Name, Created: m.Updated},
			Description: m.Description,
			Updated:     m.Updated,
			Versions:    []PolicyVersion{{Number: version, Created: m.Updated, Document: m.Document}},
			Default:     version, Last: version,
		})
	}
	return out, nil
}

// awsPolicyID is the unique id of one of AWS's policies: the same on every
// server and after every start, and made from the name.
func awsPolicyID(name string) string {
	sum := sha256.Sum256([]byte(name))
	return string(token.ManagedPolicy) + base32.StdEncoding.EncodeToString(sum[:])[:17]
}

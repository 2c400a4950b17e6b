// Package iamapi is the AWS API of IAM: one method for each operation, with the
// signature of the SDK's client. It translates inputs into calls of package iam and
// the packages below it, and their results into outputs. It has no rules of its own.
//
// Operations that are not registered answer that they are not implemented.
package iamapi

import (
	"errors"
	"net/url"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/gatehouse-registry/gatehouse/internal/aws/wire"
	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/api/pagetoken"
	"github.com/gatehouse-registry/gatehouse/internal/server/api/queryerrors"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/report"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/simulate"
)

// Config is what an [API] is made of.
type Config struct {
	IAM *iam.Service
}

// An API is the operations.
type API struct {
	iam      *iam.Service
	simulate *simulate.Service
	report   *report.Service
}

// New returns the API over the domain's service.
func New(c Config) *API { return &API{c.IAM, simulate.New(c.IAM), report.New(c.IAM)} }

// Register hands the operations to the protocol.
func Register(s *wire.Service, a *API) {
	registerUsers(s, a)
	registerGroups(s, a)
	registerRoles(s, a)
	registerPolicies(s, a)
	registerOIDC(s, a)
	registerAccount(s, a)
	registerSimulation(s, a)
	registerReports(s, a)
	registerLastAccessed(s, a)
	registerServiceLinkedRoles(s, a)
}

// MapError turns errors of the domain into errors of the IAM API (IAM API
// Reference, the Errors of each operation).
func MapError(err error) error {
	var f *fault.Error
	if !errors.As(err, &f) {
		return err
	}
	message := &f.Message
	switch f.Code {
	case "NoSuchEntity":
		return &types.NoSuchEntityException{Message: message}
	case "EntityAlreadyExists":
		return &types.EntityAlreadyExistsException{Message: message}
	case "DeleteConflict":
		return &types.DeleteConflictException{Message: message}
	case "LimitExceeded":
		return &types.LimitExceededException{Message: message}
	case "PolicyNotAttachable":
		return &types.PolicyNotAttachableException{Message: message}
	case "MalformedPolicyDocument":
		return &types.MalformedPolicyDocumentException{Message: message}
	case "UnmodifiableEntity":
		return &types.UnmodifiableEntityException{Message: message}
	case "InvalidInput":
		return &types.InvalidInputException{Message: message}
	case "FeatureEnabled":
		return &types.FeatureEnabledException{Message: message}
	case "FeatureDisabled":
		return &types.FeatureDisabledException{Message: message}
	case "ReportNotPresent":
		return &types.CredentialReportNotPresentException{Message: message}
	case "ReportExpired":
		return &types.CredentialReportExpiredException{Message: message}
	}
	return queryerrors.Map(err)
}

// page reads the paging of an input. A marker of another list is refused.
func page(list pagetoken.Scope, prefix, marker *string, maxItems *int32) (iam.Page, error) {
	after, err := afterMarker(list, marker)
	return iam.Page{PathPrefix: aws.ToString(prefix), After: after, Limit: int(aws.ToInt32(maxItems))}, err
}

// nextMarker returns the marker of the page after the entry, which is empty at
// the end of the list.
func nextMarker(list pagetoken.Scope, entry string) *string { return list.Next(entry != "", entry) }

// afterMarker returns the entry that the page comes after; empty means the first
// page.
func afterMarker(list pagetoken.Scope, marker *string) (entry string, err error) {
	cursor, err := list.Cursor(marker, 1)
	if err != nil {
		return "", invalidMarker()
	}
	return cursor[0], nil
}

func invalidMarker() error {
	return fault.New(fault.Invalid, "ValidationError", "Invalid Marker: use the Marker of the response before.")
}

// defaultItems is the length of a page if the request does not say it.
const defaultItems = 100

// pageOf returns one page of a list that is in memory as a whole, and the marker of
// the next page.
func pageOf[E any](list pagetoken.Scope, all []E, marker *string, maxItems *int32) (entries []E, next *string, err error) {
	text, err := afterMarker(list, marker)
	if err != nil {
		return nil, nil, err
	}
	from := 0
	if text != "" {
		if from, err = strconv.Atoi(text); err != nil || from < 0 {
			return nil, nil, invalidMarker()
		}
	}
	size := defaultItems
	if maxItems != nil {
		size = int(*maxItems)
	}
	from = min(from, len(all))
	to := min(from+size, len(all))
	return all[from:to], list.Next(to < len(all), strconv.Itoa(to)), nil
}

// document is how a policy stands in a response: escaped as RFC 3986 says (IAM
// API Reference, "GetRolePolicy").
func document(text string) *string {
	return new(strings.ReplaceAll(url.QueryEscape(text), "+", "%20"))
}

func tagsIn(tags []types.Tag) []iam.Tag {
	out := make([]iam.Tag, len(tags))
	for i, t := range tags {
		out[i] = iam.Tag{Key: aws.ToString(t.Key), Value: aws.ToString(t.Value)}
	}
	return out
}

func tagsOut(tags []iam.Tag) []types.Tag {
	return convert(tags, func(t iam.Tag) types.Tag { return types.Tag{Key: &t.Key, Value: &t.Value} })
}

// boundaryType is what AWS answers. Its model has PermissionsBoundaryPolicy alone.
const boundaryType types.PermissionsBoundaryAttachmentType = "Policy"

func boundaryOut(policyARN string) *types.AttachedPermissionsBoundary {
	if policyARN == "" {
		return nil
	}
	return &types.AttachedPermissionsBoundary{
		PermissionsBoundaryArn:  &policyARN,
		PermissionsBoundaryType: boundaryType,
	}
}

// convert returns a slice that is not nil: the protocol writes an empty list.
func convert[A, B any](in []A, fn func(A) B) []B {
	out := make([]B, len(in))
	for i, a := range in {
		out[i] = fn(a)
	}
	return out
}

func inlineNames(policies []iam.InlinePolicy) []string {
	return convert(policies, func(p iam.InlinePolicy) string { return p.Name })
}

func attachedOut(p *iam.Policy) types.AttachedPolicy {
	return types.AttachedPolicy{PolicyArn: new(p.ARN()), PolicyName: &p.Name}
}

// emptyOutput is the answer of an operation without output.
func emptyOutput[O any](err error) (*O, error) {
	if err != nil {
		return nil, err
	}
	return new(O), nil
}

// activeIn reads the status of an access key.
func activeIn(s types.StatusType) (bool, error) {
	switch s {
	case types.StatusTypeActive:
		return true, nil
	case types.StatusTypeInactive:
		return false, nil
	}
	return false, fault.New(fault.Invalid, "ValidationError", "The status of an access key can be set to Active or Inactive, not to %q.", s)
}

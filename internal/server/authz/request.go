// Package authz decides whether a principal may do an action on a resource, and
// why. Package policy evaluates; this package collects its input (the caller, the
// resource's policies and tags, the condition keys) and turns a denial into an
// error with AWS's wording. Domain packages take an [Authorizer] and call it first
// in each of their methods.
//
// keys.go has the condition keys of every request. The keys of one service are in
// [Request.Keys], which the domain's method sets.
package authz

import "github.com/gatehouse-registry/gatehouse/internal/policy"

// A Request asks whether the caller in the context may do one thing.
type Request struct {
	// Action is "service:Operation", as IAM writes it: "ecr:PutImage".
	Action string
	// Resource is an ARN, or "*" for an action that has no resource.
	Resource string
	// Account owns the resource: 12 digits. Empty means the caller's own.
	Account string
	// Policies are the resource-based policies that apply; for assuming a role,
	// its trust policy.
	Policies []*policy.Policy
	// ResourceTags are aws:ResourceTag/* (and ecr:ResourceTag/* for ECR).
	ResourceTags map[string]string
	// RequestTags are aws:RequestTag/*, and their keys aws:TagKeys.
	RequestTags map[string]string
	// Keys are further condition keys, such as sts:AWSServiceName, whose case does
	// not matter. A request that only removes tags gives aws:TagKeys here. What
	// every request has (aws:PrincipalArn, aws:SourceIp, …) cannot be replaced.
	Keys map[string][]string
	// PerVersion means that the request reads package versions about which rules decide
	// one by one: see [RulesForVersions]. Statements with such rules are left out of the
	// decision.
	PerVersion bool
}

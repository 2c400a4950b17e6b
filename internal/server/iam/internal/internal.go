// Package internal has the argument that the packages below iam give to
// iam.Service.Core, whose methods do not authorize the caller. Go lets only
// packages below iam import this one, so no handler can call Core.
package internal

// A CoreKey opens [iam.Service.Core].
type CoreKey struct{}

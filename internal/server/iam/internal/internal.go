// Package internal has the key to the parts of package iam that authorize
// no one. Go lets only packages below iam import it.
package internal

// A CoreKey opens [iam.Service.Core].
type CoreKey struct{}

// Package report answers the operations of IAM that look at a whole account: the
// summary (GetAccountSummary), the credential report, and the details of
// everyone and everything (GetAccountAuthorizationDetails).
package report

import (
	"github.com/gatehouse-registry/gatehouse/internal/server/iam"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/internal"
)

// A Service has the reports. It is safe for use by many goroutines.
type Service struct{ core iam.Core }

// New returns the reports over the identities of s.
func New(s *iam.Service) *Service { return &Service{s.Core(internal.CoreKey{})} }

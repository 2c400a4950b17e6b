package operatormodel

import "time"

// An AdmissionScope says where an exception or a quarantine holds. Inputs embed it.
type AdmissionScope struct {
	Domain string `json:"domain" wire:"required,min=1,max=50"`
	// DomainOwner is the account that owns the domain; the default is the caller's.
	DomainOwner *string `json:"domainOwner" pattern:"[0-9]{12}"`
	// Repository is the one repository for which it holds. Without it, it holds for all
	// of the domain.
	Repository *string `json:"repository" wire:"min=1,max=100"`
}

// PutAdmissionExceptionInput suspends rules about versions of a package until a time.
type PutAdmissionExceptionInput struct {
	AdmissionScope
	Format    string  `json:"format" wire:"required,min=1,max=16"`
	Namespace *string `json:"namespace" wire:"min=1,max=255"`
	Package   string  `json:"package" wire:"required,min=1,max=255"`
	// Version is one version. Without it, all versions are meant.
	Version *string `json:"version" wire:"min=1,max=255"`
	// Rules are the Sids of the rules to suspend. Without any, all are.
	Rules  []string  `json:"rules" wire:"max=20"`
	Until  time.Time `json:"until" wire:"required"`
	Reason *string   `json:"reason" wire:"max=1000"`
}

// PutAdmissionExceptionOutput has the exception.
type PutAdmissionExceptionOutput struct {
	Entry AdmissionEntry `json:"entry"`
}

// PutQuarantineInput denies versions of a package to everybody.
type PutQuarantineInput struct {
	AdmissionScope
	Format    string  `json:"format" wire:"required,min=1,max=16"`
	Namespace *string `json:"namespace" wire:"min=1,max=255"`
	Package   string  `json:"package" wire:"required,min=1,max=255"`
	// Version is one version. Without it, all versions are meant.
	Version *string `json:"version" wire:"min=1,max=255"`
	Reason  *string `json:"reason" wire:"max=1000"`
}

// PutQuarantineOutput has the quarantine.
type PutQuarantineOutput struct {
	Entry AdmissionEntry `json:"entry"`
}

// DeleteAdmissionExceptionInput ends an exception.
type DeleteAdmissionExceptionInput struct {
	AdmissionScope
	EntryID string `json:"entryId" wire:"required,min=1,max=64"`
}

// DeleteAdmissionExceptionOutput has the exception that ended.
type DeleteAdmissionExceptionOutput struct {
	Entry AdmissionEntry `json:"entry"`
}

// ReleaseQuarantineInput ends a quarantine.
type ReleaseQuarantineInput struct {
	AdmissionScope
	EntryID string `json:"entryId" wire:"required,min=1,max=64"`
}

// ReleaseQuarantineOutput has the quarantine that ended.
type ReleaseQuarantineOutput struct {
	Entry AdmissionEntry `json:"entry"`
}

// ListAdmissionEntriesInput asks for the exceptions and quarantines of a domain.
type ListAdmissionEntriesInput struct {
	AdmissionScope
	MaxResults *int32  `json:"maxResults" wire:"min=1,max=1000"`
	NextToken  *string `json:"nextToken" wire:"min=1,max=1024"`
}

// ListAdmissionEntriesOutput has the oldest first.
type ListAdmissionEntriesOutput struct {
	Entries   []AdmissionEntry `json:"entries"`
	NextToken *string          `json:"nextToken,omitempty"` // nil on the last page
}

// An AdmissionEntry is an exception from rules or a quarantine.
type AdmissionEntry struct {
	EntryID string `json:"entryId"`
	// Kind is exception or quarantine.
	Kind       string     `json:"kind"`
	Repository *string    `json:"repository,omitempty"`
	Format     string     `json:"format"`
	Namespace  *string    `json:"namespace,omitempty"`
	Package    string     `json:"package"`
	Version    *string    `json:"version,omitempty"`
	Rules      []string   `json:"rules,omitempty"`
	Until      *time.Time `json:"until,omitempty"`
	Reason     *string    `json:"reason,omitempty"`
	CreatedAt  time.Time  `json:"createdAt"`
	// CreatedBy is the ARN of the caller.
	CreatedBy string `json:"createdBy"`
}

// ExplainAdmissionInput asks what is decided about the versions of a package if the caller
// reads them.
type ExplainAdmissionInput struct {
	RepositoryName
	Format     string  `json:"format" wire:"required,min=1,max=16"`
	Namespace  *string `json:"namespace" wire:"min=1,max=255"`
	Package    string  `json:"package" wire:"required,min=1,max=255"`
	Version    *string `json:"version" wire:"min=1,max=255"`
	MaxResults *int32  `json:"maxResults" wire:"min=1,max=1000"`
	NextToken  *string `json:"nextToken" wire:"min=1,max=1024"`
}

// ExplainAdmissionOutput has the oldest version first.
type ExplainAdmissionOutput struct {
	Verdicts  []AdmissionVerdict `json:"verdicts"`
	NextToken *string            `json:"nextToken,omitempty"` // nil on the last page
}

// An AdmissionVerdict says what is decided about a version.
type AdmissionVerdict struct {
	Version     string     `json:"version"`
	Status      string     `json:"status"`
	PublishedAt *time.Time `json:"publishedAt,omitempty"`
	// Outcome is admitted, denied, excepted (an exception suspends the rule that would
	// deny it) or reported (a rule that only reports would deny it).
	Outcome string `json:"outcome"`
	Reason  string `json:"reason"`
}

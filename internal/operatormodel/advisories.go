package operatormodel

import "time"

// ImportAdvisoriesInput stores advisories. A request has at most 1 MiB.
type ImportAdvisoriesInput struct {
	// Documents are documents of OSV: JSON.
	Documents []string `json:"documents" wire:"required,min=1,max=1000"`
}

// ImportAdvisoriesOutput says what became of the documents.
type ImportAdvisoriesOutput struct {
	Imported int64 `json:"imported"` // new, or newer than what was there
	// Unchanged were there already, or newer ones.
	Unchanged int64 `json:"unchanged"`
	// Withdrawn were removed, because their authors withdrew them.
	Withdrawn int64 `json:"withdrawn"`
	// Ignored are about no package that can be on this server.
	Ignored int64             `json:"ignored"`
	Refused []RefusedAdvisory `json:"refused"`
}

// A RefusedAdvisory is a document that cannot be read.
type RefusedAdvisory struct {
	Index  int64  `json:"index"` // in Documents
	Reason string `json:"reason"`
}

// DeleteAdvisoriesInput removes advisories.
type DeleteAdvisoriesInput struct {
	AdvisoryIDs []string `json:"advisoryIds" wire:"required,min=1,max=1000"`
}

// DeleteAdvisoriesOutput has the number of those that were there.
type DeleteAdvisoriesOutput struct {
	Deleted int64 `json:"deleted"`
}

// ListAdvisoriesInput asks what is known about a package.
type ListAdvisoriesInput struct {
	Format     string  `json:"format" wire:"required,min=1,max=16"`
	Namespace  *string `json:"namespace" wire:"min=1,max=255"`
	Package    string  `json:"package" wire:"required,min=1,max=255"`
	MaxResults *int32  `json:"maxResults" wire:"min=1,max=1000"`
	NextToken  *string `json:"nextToken" wire:"min=1,max=1024"`
}

// ListAdvisoriesOutput has the worst first.
type ListAdvisoriesOutput struct {
	Advisories []Advisory `json:"advisories"`
	// TotalCount is the number of advisories about all packages.
	TotalCount int64   `json:"totalCount"`
	NextToken  *string `json:"nextToken,omitempty"` // nil on the last page
}

// An Advisory is about versions of a package.
type Advisory struct {
	AdvisoryID string   `json:"advisoryId"`
	Aliases    []string `json:"aliases,omitempty"`
	Summary    string   `json:"summary"`
	// Severity is low, moderate, high, critical or unknown.
	Severity   string     `json:"severity"`
	Malware    bool       `json:"malware"`
	URL        *string    `json:"url,omitempty"`
	ModifiedAt *time.Time `json:"modifiedAt,omitempty"`
	// Affected are ranges such as ">=1.0.0 <1.2.3", and single versions.
	Affected []string `json:"affected"`
}

// RefreshAdvisoriesInput asks for what is new at the addresses of the configuration.
type RefreshAdvisoriesInput struct{}

// RefreshAdvisoriesOutput has the sources as they were before. The server asks them in the
// background: a run has ended when the number of runs of its source has grown.
type RefreshAdvisoriesOutput struct {
	Sources []AdvisorySource `json:"sources"`
}

// ListAdvisorySourcesInput asks how the addresses are from which advisories come.
type ListAdvisorySourcesInput struct{}

// ListAdvisorySourcesOutput has them in the order of their names.
type ListAdvisorySourcesOutput struct {
	Sources []AdvisorySource `json:"sources"`
}

// An AdvisorySource is an address from which advisories come.
type AdvisorySource struct {
	Name string `json:"name"`
	URL  string `json:"url"`
	Runs int64  `json:"runs"` // how often it was asked
	// CheckedAt is when it answered last, ChangedAt when it had something else than before.
	CheckedAt *time.Time `json:"checkedAt,omitempty"`
	ChangedAt *time.Time `json:"changedAt,omitempty"`
	// FailedAt and Failure are about its last run, if that failed.
	FailedAt *time.Time `json:"failedAt,omitempty"`
	Failure  *string    `json:"failure,omitempty"`
	// What became of the documents of the last answer: see ImportAdvisoriesOutput.
	Imported  int64 `json:"imported"`
	Unchanged int64 `json:"unchanged"`
	Withdrawn int64 `json:"withdrawn"`
	Ignored   int64 `json:"ignored"`
	Refused   int64 `json:"refused"`
}

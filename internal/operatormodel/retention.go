package operatormodel

import "time"

// PutRetentionRulesInput sets the retention rules of a repository, or some of its lock
// lists.
type PutRetentionRulesInput struct {
	RepositoryName
	// Document has the rules, in YAML or JSON. Without it, those that are there stay.
	Document *string `json:"document" wire:"min=1,max=65536"`
	// LockLists are added, or replace those of the same name.
	LockLists []LockList `json:"lockLists" wire:"max=20"`
	// DropLockLists are the names of lock lists to remove.
	DropLockLists []string `json:"dropLockLists" wire:"max=20"`
}

// A LockList is a list of versions that are never removed.
type LockList struct {
	Name string `json:"name" wire:"required,min=1,max=64"`
	// Text has one reference a line: FORMAT/NAMESPACE/NAME@VERSION.
	Text string `json:"text"`
}

// PutRetentionRulesOutput is the state after the change.
type PutRetentionRulesOutput struct {
	Rules RetentionRules `json:"rules"`
}

// RetentionRules are the retention rules of a repository.
type RetentionRules struct {
	Document  string     `json:"document"`
	LockLists []LockList `json:"lockLists"`
	Revision  string     `json:"revision"`
	ChangedAt time.Time  `json:"changedAt"`
	// ChangedBy is the ARN of the caller.
	ChangedBy string `json:"changedBy"`
}

// GetRetentionRulesInput asks for the retention rules of a repository.
type GetRetentionRulesInput struct {
	RepositoryName
}

// GetRetentionRulesOutput has them.
type GetRetentionRulesOutput struct {
	Rules RetentionRules `json:"rules"`
}

// DeleteRetentionRulesInput removes the retention rules and lock lists of a repository.
type DeleteRetentionRulesInput struct {
	RepositoryName
}

// DeleteRetentionRulesOutput is empty.
type DeleteRetentionRulesOutput struct{}

// PreviewRetentionInput asks for one page of what the rules of a repository decide now.
type PreviewRetentionInput struct {
	RepositoryName
	// Document has other rules to try, instead of those of the repository.
	Document   *string `json:"document" wire:"min=1,max=65536"`
	MaxResults *int32  `json:"maxResults" wire:"min=1,max=1000"`
	NextToken  *string `json:"nextToken" wire:"min=1,max=4096"`
}

// PreviewRetentionOutput has the versions that a rule selects. A page may be empty though
// there is a NextToken.
type PreviewRetentionOutput struct {
	Verdicts []RetentionVerdict `json:"verdicts"`
	// VersionCount is the number of versions of the repository, and MaxShare the largest
	// share of them that one run removes.
	VersionCount int64   `json:"versionCount"`
	MaxShare     float64 `json:"maxShare"`
	NextToken    *string `json:"nextToken,omitempty"` // nil after the last page
}

// A RetentionVerdict is about a version that a rule selects.
type RetentionVerdict struct {
	Format      string    `json:"format"`
	Namespace   *string   `json:"namespace,omitempty"`
	Package     string    `json:"package"`
	Version     string    `json:"version"`
	Status      string    `json:"status"`
	PublishedAt time.Time `json:"publishedAt"`
	// Removed is false if the version is protected.
	Removed bool   `json:"removed"`
	Rule    string `json:"rule"`
	Reason  string `json:"reason"`
	// Protection is unfinished, recent, tag, lock, newest-build or last-version, and
	// ProtectedBy the name of the tag, the lock list or the snapshot.
	Protection  *string `json:"protection,omitempty"`
	ProtectedBy *string `json:"protectedBy,omitempty"`
}

// RunRetentionInput begins to apply the rules of a repository.
type RunRetentionInput struct {
	RepositoryName
	// MaxShare replaces max_share of the rules for this run.
	MaxShare *float64 `json:"maxShare"`
}

// RunRetentionOutput has the run, which goes on in the background.
type RunRetentionOutput struct {
	Run RetentionRun `json:"run"`
}

// A RetentionRun is one application of the rules of a repository.
type RetentionRun struct {
	RunID string `json:"runId"`
	// State is queued, running, done, stopped, undoing or undone.
	State string `json:"state"`
	// StartedBy is the ARN of the caller, and nil for a scheduled run.
	StartedBy  *string    `json:"startedBy,omitempty"`
	CreatedAt  time.Time  `json:"createdAt"`
	FinishedAt *time.Time `json:"finishedAt,omitempty"`
	// UndoUntil is when the removed versions are deleted.
	UndoUntil *time.Time `json:"undoUntil,omitempty"`
	// VersionCount is the number of versions before the run.
	VersionCount int64 `json:"versionCount"`
	Removed      int64 `json:"removed"`
	Restored     int64 `json:"restored"`
	// Message says why the run stopped, or what an undo could not restore.
	Message *string `json:"message,omitempty"`
}

// ListRetentionRunsInput asks for one page of the runs of a repository, or for one run.
type ListRetentionRunsInput struct {
	RepositoryName
	RunID      *string `json:"runId" wire:"min=1,max=64"`
	MaxResults *int32  `json:"maxResults" wire:"min=1,max=1000"`
	NextToken  *string `json:"nextToken" wire:"min=1,max=1024"`
}

// ListRetentionRunsOutput has the latest run first.
type ListRetentionRunsOutput struct {
	Runs      []RetentionRun `json:"runs"`
	NextToken *string        `json:"nextToken,omitempty"`
}

// UndoRetentionInput begins to restore what a run has removed.
type UndoRetentionInput struct {
	RepositoryName
	RunID string `json:"runId" wire:"required,min=1,max=64"`
}

// UndoRetentionOutput has the run, whose undo goes on in the background.
type UndoRetentionOutput struct {
	Run RetentionRun `json:"run"`
}

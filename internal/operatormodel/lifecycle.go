package operatormodel

import "time"

// ExplainLifecycleInput asks what a lifecycle policy decides about the images of a
// repository.
type ExplainLifecycleInput struct {
	RegistryID     *string `json:"registryId" pattern:"[0-9]{12}"` // the account; the caller's by default
	RepositoryName string  `json:"repositoryName" wire:"required,min=2,max=256"`
	// PolicyText is another policy to try, instead of the one that holds.
	PolicyText *string `json:"policyText" wire:"min=100,max=30720"`
	// ImageTag or ImageDigest name the only image to explain.
	ImageTag    *string `json:"imageTag" wire:"min=1,max=300"`
	ImageDigest *string `json:"imageDigest" wire:"min=1,max=300"`
	MaxResults  *int32  `json:"maxResults" wire:"min=1,max=1000"`
	NextToken   *string `json:"nextToken" wire:"min=1,max=4096"`
}

// ExplainLifecycleOutput has images from the youngest to the oldest. A page may be empty
// though there is a NextToken.
type ExplainLifecycleOutput struct {
	Images    []LifecycleVerdict `json:"images"`
	NextToken *string            `json:"nextToken,omitempty"`
}

// A LifecycleVerdict says what a policy decides about an image.
type LifecycleVerdict struct {
	ImageDigest  string     `json:"imageDigest"`
	ImageTags    []string   `json:"imageTags"`
	PushedAt     time.Time  `json:"pushedAt"`
	LastPulledAt *time.Time `json:"lastPulledAt,omitempty"`
	// Decision is expired, archived, kept, protected (by the manifest list in ListedBy), or
	// follows (the image in Follows).
	Decision string `json:"decision"`
	// RulePriority is the rule that acts on the image, or would.
	RulePriority *int32 `json:"rulePriority,omitempty"`
	// ListedBy and Follows are digests.
	ListedBy *string            `json:"listedBy,omitempty"`
	Follows  *string            `json:"follows,omitempty"`
	Rules    []LifecycleFinding `json:"rules"`
}

// A LifecycleFinding is what one rule says about an image.
type LifecycleFinding struct {
	RulePriority int32 `json:"rulePriority"`
	// Identified is true if the rule is about the image, Marked if the image is too old
	// for it or one too many, and Shielded if a rule with a smaller number decides.
	Identified bool   `json:"identified"`
	Marked     bool   `json:"marked"`
	Shielded   bool   `json:"shielded"`
	Reason     string `json:"reason"`
}

// RunLifecycleInput begins to apply the lifecycle policy of a repository now.
type RunLifecycleInput struct {
	RegistryID     *string `json:"registryId" pattern:"[0-9]{12}"`
	RepositoryName string  `json:"repositoryName" wire:"required,min=2,max=256"`
}

// RunLifecycleOutput has the run, which goes on in the background.
type RunLifecycleOutput struct {
	Run LifecycleRun `json:"run"`
}

// A LifecycleRun is one application of the lifecycle policy of a repository.
type LifecycleRun struct {
	RunID string `json:"runId"`
	// State is queued, running, done, stopped, undoing or undone.
	State string `json:"state"`
	// StartedBy is the ARN of the caller, and nil for a scheduled run.
	StartedBy  *string    `json:"startedBy,omitempty"`
	CreatedAt  time.Time  `json:"createdAt"`
	FinishedAt *time.Time `json:"finishedAt,omitempty"`
	// UndoUntil is when the removed images are deleted.
	UndoUntil *time.Time `json:"undoUntil,omitempty"`
	// ImageCount is the number of images before the run.
	ImageCount int64 `json:"imageCount"`
	Removed    int64 `json:"removed"`
	// Archived is how many images the run archived. An undo does not restore them.
	Archived int64 `json:"archived"`
	Restored int64 `json:"restored"`
	// Message says why the run stopped, or what an undo could not restore.
	Message *string `json:"message,omitempty"`
}

// ListLifecycleRunsInput asks for one page of the runs of a repository, or for one run.
type ListLifecycleRunsInput struct {
	RegistryID     *string `json:"registryId" pattern:"[0-9]{12}"`
	RepositoryName string  `json:"repositoryName" wire:"required,min=2,max=256"`
	RunID          *string `json:"runId" wire:"min=1,max=64"`
	MaxResults     *int32  `json:"maxResults" wire:"min=1,max=1000"`
	NextToken      *string `json:"nextToken" wire:"min=1,max=1024"`
}

// ListLifecycleRunsOutput has the latest run first. Scheduled runs that removed nothing are
// not listed.
type ListLifecycleRunsOutput struct {
	Runs      []LifecycleRun `json:"runs"`
	NextToken *string        `json:"nextToken,omitempty"`
}

// UndoLifecycleInput begins to bring back what a run has removed.
type UndoLifecycleInput struct {
	RegistryID     *string `json:"registryId" pattern:"[0-9]{12}"`
	RepositoryName string  `json:"repositoryName" wire:"required,min=2,max=256"`
	RunID          string  `json:"runId" wire:"required,min=1,max=64"`
}

// UndoLifecycleOutput has the run, whose undo goes on in the background.
type UndoLifecycleOutput struct {
	Run LifecycleRun `json:"run"`
}

// PutDefaultLifecyclePolicyInput sets the policy of all repositories of a registry that
// have none of their own.
type PutDefaultLifecyclePolicyInput struct {
	RegistryID *string `json:"registryId" pattern:"[0-9]{12}"`
	PolicyText string  `json:"policyText" wire:"required,min=100,max=30720"`
}

// PutDefaultLifecyclePolicyOutput is the state after the change.
type PutDefaultLifecyclePolicyOutput struct {
	Policy DefaultLifecyclePolicy `json:"policy"`
}

// A DefaultLifecyclePolicy is the default lifecycle policy of a registry.
type DefaultLifecyclePolicy struct {
	PolicyText string    `json:"policyText"`
	ChangedAt  time.Time `json:"changedAt"`
	// ChangedBy is the ARN of the caller.
	ChangedBy string `json:"changedBy"`
}

// GetDefaultLifecyclePolicyInput asks for the default lifecycle policy of a registry.
type GetDefaultLifecyclePolicyInput struct {
	RegistryID *string `json:"registryId" pattern:"[0-9]{12}"`
}

// GetDefaultLifecyclePolicyOutput has it.
type GetDefaultLifecyclePolicyOutput struct {
	Policy DefaultLifecyclePolicy `json:"policy"`
}

// DeleteDefaultLifecyclePolicyInput removes the default lifecycle policy of a registry.
type DeleteDefaultLifecyclePolicyInput struct {
	RegistryID *string `json:"registryId" pattern:"[0-9]{12}"`
}

// DeleteDefaultLifecyclePolicyOutput is empty.
type DeleteDefaultLifecyclePolicyOutput struct{}

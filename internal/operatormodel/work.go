package operatormodel

import "time"

// ListWorkInput asks for one page of the work queue.
type ListWorkInput struct {
	// State chooses the jobs of one state, and Kind those of one kind.
	State *string `json:"state" wire:"enum=queued|running|failed"`
	Kind  *string `json:"kind" wire:"min=1,max=128"`
	// MaxResults is the length of the page; the default is 100.
	MaxResults *int32  `json:"maxResults" wire:"min=1,max=1000"`
	NextToken  *string `json:"nextToken" wire:"min=1,max=1024"`
}

// ListWorkOutput has jobs in the order in which they were created.
type ListWorkOutput struct {
	Work      []WorkItem `json:"work"`
	NextToken *string    `json:"nextToken"` // nil after the last page
}

// A WorkItem is a job of the work queue. What is done is not in the queue any more.
type WorkItem struct {
	ID        string    `json:"id"`
	Kind      string    `json:"kind"`
	Key       *string   `json:"key"` // what the job is about, if its kind has keys
	State     string    `json:"state"`
	RunAt     time.Time `json:"runAt"` // when it is due
	CreatedAt time.Time `json:"createdAt"`
	Attempts  int64     `json:"attempts"` // with the running one
	// Server is the server that runs the job.
	Server *string `json:"server"`
	// StartedAt and FinishedAt are the times of the last run, and LastError is its
	// error.
	StartedAt  *time.Time `json:"startedAt"`
	FinishedAt *time.Time `json:"finishedAt"`
	LastError  *string    `json:"lastError"`
}

// RetryWorkInput names one job, or all failed jobs of a kind. Exactly one of the members
// must be set.
type RetryWorkInput struct {
	ID   *string `json:"id" wire:"min=1,max=128"`
	Kind *string `json:"kind" wire:"min=1,max=128"`
}

// RetryWorkOutput says how many jobs are due now.
type RetryWorkOutput struct {
	Retried int64 `json:"retried"`
}

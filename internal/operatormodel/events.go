package operatormodel

// ListEventsInput asks for events. Each of the lists Sources, DetailTypes, Accounts,
// Domains and Repositories has the values of which an event must have one; an empty list
// allows all.
type ListEventsInput struct {
	// SinceSeconds chooses the events of the last so many seconds. Without it, and without
	// NextToken, the list begins with the oldest event that is kept.
	SinceSeconds *int64   `json:"sinceSeconds" wire:"min=0,max=31536000"`
	Sources      []string `json:"sources" wire:"max=20"`
	DetailTypes  []string `json:"detailTypes" wire:"max=20"`
	Accounts     []string `json:"accounts" wire:"max=20"`
	Domains      []string `json:"domains" wire:"max=20"`
	Repositories []string `json:"repositories" wire:"max=20"`
	// WaitSeconds is how long the server waits for an event if there is none yet; the
	// default is 0.
	WaitSeconds *int32 `json:"waitSeconds" wire:"min=0,max=20"`
	// MaxResults is the length of the page; the default is 100.
	MaxResults *int32 `json:"maxResults" wire:"min=1,max=250"`
	// NextToken continues after an earlier answer for the same lists. It carries the
	// SinceSeconds of the first request.
	NextToken *string `json:"nextToken" wire:"min=1,max=1024"`
}

// ListEventsOutput has events in the order of their numbers.
type ListEventsOutput struct {
	Events []EventItem `json:"events"`
	// NextToken asks for the events after these, which may not have happened yet.
	NextToken string `json:"nextToken"`
	// More is true if there are further events now.
	More bool `json:"more"`
}

// An EventItem is an event.
type EventItem struct {
	// Number grows with each event of the installation.
	Number int64 `json:"number"`
	// Event is the event as Amazon EventBridge has it, a JSON object.
	Event string `json:"event"`
}

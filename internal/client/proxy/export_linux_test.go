package proxy

// OwnerCheck and Owner are for the tests.
var (
	OwnerCheck = ownerCheck
	Owner      = owner
)

package proxy

// Own and Owner are for the tests.
var (
	Own   = own
	Owner = owner
)

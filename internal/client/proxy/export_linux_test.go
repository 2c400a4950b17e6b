package proxy

// OwnerCheck and Owner are for the tests.
var (
	PeerCheck   = peerCheck
	SocketOwner = socketOwner
)

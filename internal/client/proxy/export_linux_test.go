package proxy

// PeerCheck and SocketOwner are for the tests.
var (
	PeerCheck   = peerCheck
	SocketOwner = socketOwner
)

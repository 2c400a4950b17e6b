package operatormodel

import "time"

// ListKeysInput asks for the keys of the keyring.
type ListKeysInput struct{}

// ListKeysOutput is the state of the keyring, without its secrets.
type ListKeysOutput struct {
	// Location is where the keyring is stored: a file, or "the database".
	Location string `json:"location"`
	// Wrapped says whether the stored keyring is encrypted.
	Wrapped bool `json:"wrapped"`
	// Revision grows by one with each change of the keyring.
	Revision int64 `json:"revision"`
	// Keys are the keys in the order in which they were added.
	Keys []Key `json:"keys"`
	// Servers are those that share the database. It is empty if there is one only.
	Servers []KeyringServer `json:"servers"`
}

// A Key is one key of the keyring.
type Key struct {
	KeyID string `json:"keyId"`
	// State is active, verify-only or retired.
	State string `json:"state"`
	// CreatedAt is when the key was made, ActivatedAt when it became active, and
	// DeactivatedAt when another one did. RetirableAt is when the last token that it
	// sealed has expired.
	CreatedAt     time.Time  `json:"createdAt"`
	ActivatedAt   *time.Time `json:"activatedAt,omitempty"`
	DeactivatedAt *time.Time `json:"deactivatedAt,omitempty"`
	RetirableAt   *time.Time `json:"retirableAt,omitempty"`
	// AccessKeyCount is the number of access keys whose secrets are derived from the
	// key, and AccessKeys are the first thousand of them.
	AccessKeyCount int64          `json:"accessKeyCount"`
	AccessKeys     []KeyAccessKey `json:"accessKeys"`
}

// A KeyAccessKey is an access key that depends on a key of the keyring.
type KeyAccessKey struct {
	AccessKeyID string `json:"accessKeyId"`
	Account     string `json:"account"`
	// UserName is empty for an access key of root.
	UserName string `json:"userName"`
	Active   bool   `json:"active"`
}

// A KeyringServer is a server that uses the keyring.
type KeyringServer struct {
	ServerID string `json:"serverId"`
	Host     string `json:"host"`
	// Revision is the one that the server has loaded. 0 means that it is starting.
	Revision int64     `json:"revision"`
	SeenAt   time.Time `json:"seenAt"`
}

// RotateKeysInput asks for a new active key.
type RotateKeysInput struct{}

// RotateKeysOutput says how far the rotation is.
type RotateKeysOutput struct {
	// NewKeyID is the new key, and FormerKeyID the one that was active before.
	NewKeyID    string `json:"newKeyId"`
	FormerKeyID string `json:"formerKeyId"`
	Revision    int64  `json:"revision"`
	// Done is false if the new key is not active yet, because ServersBehind have not
	// loaded it. Call the operation again to go on.
	Done          bool     `json:"done"`
	ServersBehind []string `json:"serversBehind"`
	// RetirableAt is when the former key can be retired. It is absent unless Done.
	RetirableAt *time.Time `json:"retirableAt,omitempty"`
}

// RetireKeyInput asks to end a key.
type RetireKeyInput struct {
	KeyID string `json:"keyId" wire:"required" pattern:"[0-9a-f]{8}"`
	// EndSessions is the id of the key again, to end the sessions and tokens that it
	// sealed and that are still good.
	EndSessions *string `json:"endSessions,omitempty"`
}

// RetireKeyOutput describes the key.
type RetireKeyOutput struct {
	Key Key `json:"key"`
}

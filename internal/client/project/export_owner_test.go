//go:build unix

package project

// OwnedByUser is for tests.
var OwnedByUser = ownedByUser

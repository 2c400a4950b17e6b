//go:build unix

package project

// Own is for the tests.
var OwnedByUser = ownedByUser

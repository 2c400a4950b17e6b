//go:build unix

package project

// Own is for the tests.
var Own = own

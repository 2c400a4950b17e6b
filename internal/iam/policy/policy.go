// Package policy is the IAM policy language: it parses, validates and compiles
// policy documents and evaluates them. It is pure: no I/O, and the clock is
// handed in.
package policy

// A Policy is a compiled document. It is immutable.
type Policy struct{}

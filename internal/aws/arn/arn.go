// Package arn parses and formats Amazon Resource Names,
// arn:partition:service:region:account-id:resource (AWS General Reference,
// "Amazon Resource Names"). An [ARN] is the parsed form. The package knows the six
// parts and no service, and must import nothing of the server or the client.
package arn

import (
	"errors"
	"strings"
)

// Partition is the only partition that Gatehouse has.
const Partition = "aws"

// An ARN is a parsed name. Region and AccountID are empty if the service has
// none, as IAM has no region.
type ARN struct {
	Partition, Service, Region, AccountID, Resource string
}

// ErrMalformed is the error of [Parse].
var ErrMalformed = errors.New("not an ARN: want arn:partition:service:region:account-id:resource")

// New returns an ARN in [Partition].
func New(service, region, account, resource string) ARN {
	return ARN{Partition, service, region, account, resource}
}

// Parse parses an ARN. It checks the form only: six parts, of which partition,
// service and resource are not empty. The error is [ErrMalformed].
func Parse(s string) (ARN, error) {
	p := strings.SplitN(s, ":", 6)
	if len(p) != 6 || p[0] != "arn" || p[1] == "" || p[2] == "" || p[5] == "" {
		return ARN{}, ErrMalformed
	}
	return ARN{p[1], p[2], p[3], p[4], p[5]}, nil
}

// String is the inverse of [Parse].
func (a ARN) String() string {
	return "arn:" + a.Partition + ":" + a.Service + ":" + a.Region + ":" + a.AccountID + ":" + a.Resource
}

// IsAccountID reports whether s is an account id: twelve ASCII digits.
func IsAccountID(s string) bool {
	if len(s) != 12 {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// Package queryerrors puts the domain's errors into the words that the awsQuery
// services have in common: IAM and STS ("Common Errors" of their API References).
// What is one service's own, its edge maps before it asks here.
package queryerrors

import (
	"errors"
	"net/http"

	"github.com/gatehouse-registry/gatehouse/internal/aws/wire"
	"github.com/gatehouse-registry/gatehouse/internal/fault"
)

// statuses are those of the common codes.
var statuses = map[string]int{
	"AccessDenied":                http.StatusForbidden,
	"MissingAuthenticationToken":  http.StatusForbidden,
	"InvalidClientTokenId":        http.StatusForbidden,
	"SignatureDoesNotMatch":       http.StatusForbidden,
	"ExpiredToken":                http.StatusForbidden,
	"IncompleteSignature":         http.StatusBadRequest,
	"RequestExpired":              http.StatusBadRequest,
	"ValidationError":             http.StatusBadRequest,
	"InvalidParameterValue":       http.StatusBadRequest,
	"InvalidParameterCombination": http.StatusBadRequest,
}

// kinds are the statuses of the codes that are not common.
var kinds = map[fault.Kind]int{
	fault.Invalid:         http.StatusBadRequest,
	fault.Unauthenticated: http.StatusForbidden,
	fault.Expired:         http.StatusForbidden,
	fault.Denied:          http.StatusForbidden,
	fault.NotFound:        http.StatusNotFound,
	fault.Conflict:        http.StatusConflict,
	fault.Limit:           http.StatusConflict,
	fault.TooLarge:        http.StatusRequestEntityTooLarge,
	fault.Throttled:       http.StatusBadRequest,
	fault.Unavailable:     http.StatusServiceUnavailable,
	fault.Unimplemented:   http.StatusNotImplemented,
	fault.StorageFull:     http.StatusInsufficientStorage,
}

// Map turns a domain's error into the form for the client. Others, which are
// package wire's own or defects, stay as they are.
func Map(err error) error {
	var f *fault.Error
	if !errors.As(err, &f) {
		return err
	}
	status, ok := statuses[f.Code]
	if !ok {
		if status, ok = kinds[f.Kind]; !ok {
			return err // internal: the client learns nothing
		}
	}
	return &wire.Error{Code: f.Code, Status: status, Message: f.Message}
}

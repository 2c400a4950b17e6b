// Package queryerrors maps domain errors to the error codes that IAM and STS have
// in common ("Common Errors" of their API References). A handler maps the errors of
// its own service before it calls this package.
package queryerrors

import (
	"errors"
	"net/http"

	"github.com/gatehouse-registry/gatehouse/internal/aws/wire"
	"github.com/gatehouse-registry/gatehouse/internal/fault"
)

// statuses has the HTTP status of each common code.
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
	fault.Invalid:          http.StatusBadRequest,
	fault.Unauthenticated:  http.StatusForbidden,
	fault.Expired:          http.StatusForbidden,
	fault.Denied:           http.StatusForbidden,
	fault.NotFound:         http.StatusNotFound,
	fault.MethodNotAllowed: http.StatusMethodNotAllowed,
	fault.Conflict:         http.StatusConflict,
	fault.Limit:            http.StatusConflict,
	fault.TooLarge:         http.StatusRequestEntityTooLarge,
	fault.Throttled:        http.StatusBadRequest,
	fault.Unavailable:      http.StatusServiceUnavailable,
	fault.Unimplemented:    http.StatusNotImplemented,
	fault.StorageFull:      http.StatusInsufficientStorage,
	fault.BadGateway:       http.StatusBadGateway,
	fault.GatewayTimeout:   http.StatusGatewayTimeout,
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
